"""Signatures that answer what was never trained are not published."""

import numpy as np
import pytest
import tensorflow as tf

from yoto_tf import verification
from yoto_tf.endpoint import Endpoint
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.method.dirichlet import Dirichlet
from yoto_tf.method.joint import Independent
from yoto_tf.method.parameters import Choice
from yoto_tf.method.parameters import Constant
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform
from yoto_tf.rows import RowPolicy

JOINT = Independent({"a": LogUniform(0.5, 8.0), "b": LogUniform(0.5, 8.0)})
POLICIES = pytest.mark.parametrize("policy", ["error", "flag"])


class Eager:
    """A session that runs the function as TensorFlow does, eagerly."""

    operations = frozenset()
    is_compiled = False

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self.signatures = {"serving_default", "own"}

    def run(self, _, inputs):
        tensors = [
            tf.constant(inputs[s.name], s.dtype) for s in self._endpoint.inputs
        ]
        found = self._endpoint.function(*tensors)
        return {n: np.asarray(v) for n, v in found.items()}


def own(policy, joint=JOINT, blank=True, changed=None, judged=None):
    """A signature as an author would write it, with a fault or none.

    Args:
        policy: of its rows.
        joint: of its loss parameters.
        blank: whether what is flagged is emptied.
        changed: of which rows are answered, given the valid ones, those that
            it takes for valid.
        judged: the names that it looks at; None: all.
    """
    rows = RowPolicy(joint, policy)
    names = joint.names if judged is None else judged

    def function(x, **given):
        asked, _, valid = rows.admit({n: given[n] for n in names})
        a, b = (asked[n] if n in names else given[n] for n in given)
        y = x * a + b
        if changed is not None:
            valid = changed(valid)
        outputs = {"y": y, "n": tf.cast(y, tf.int32), "s": tf.as_string(y)}
        if blank:
            outputs = {n: rows.blank(v, valid) for n, v in outputs.items()}
        return outputs

    return function


def reference(x, **given):
    a, b = given.values()
    y = x * a + b
    texts = tf.as_string(tf.constant(y)).numpy()
    return {"y": y, "n": y.astype("int32"), "s": texts}


def only_y(**given):
    return {"y": reference(**given)["y"]}


def endpoint(function, reference=reference, names=("a", "b"), **changes):
    values = changes.pop("values", [1, 2, 4])

    def example(rows, seed):
        at = np.arange(rows) + (seed or 0)
        asked = {
            n: np.float32(values)[(at + i) % len(values)]
            for i, n in enumerate(names)
        }
        return {"x": at.astype("float32"), **asked}

    def by_name(*tensors):
        return function(**dict(zip(["x", *names], tensors, strict=True)))

    return Endpoint(
        **{
            "name": "own",
            "inputs": [
                tf.TensorSpec([None], tf.float32, name=n) for n in ("x", *names)
            ],
            "function": by_name,
            "reference": reference,
            "example": example,
            **changes,
        }
    )


def compare(one, policy, joint=JOINT):
    one = endpoint(one) if not isinstance(one, Endpoint) else one
    return verification.compare(Eager(one), [one], joint, policy)


@POLICIES
def test_signatures_that_heed_the_policy_pass(policy):
    found = {d.output: d.largest for d in compare(own(policy), policy)}
    assert found == {"y": 0.0, "n": 0.0, "s": 0.0}


def _answered(x, a, b):
    y = x * a + b
    return {"y": y, "n": tf.cast(y, tf.int32), "s": tf.as_string(y)}


def _finite(x, a, b):
    """NaN alone is refused."""
    tf.debugging.assert_all_finite(a, "a")
    tf.debugging.assert_all_finite(b, "b")
    return _answered(x, a, b)


def _first(x, a, b):
    """The first row alone is looked at."""
    RowPolicy(JOINT, "error").admit({"a": a[:1], "b": b[:1]})
    return _answered(x, a, b)


@POLICIES
@pytest.mark.parametrize("function", [_answered, _finite, _first])
def test_answers_to_what_was_not_trained_are_refused(function, policy):
    with pytest.raises(VerificationError, match="not trained, to (fail|be fl)"):
        compare(function, policy)


@POLICIES
def test_every_loss_parameter_is_asked_beyond_its_values(policy):
    with pytest.raises(VerificationError, match="a row that asks for b="):
        compare(own(policy, judged=("a",)), policy)


@POLICIES
@pytest.mark.parametrize(("low", "high"), [(0.5, 10), (0.1, 8)])
def test_values_close_beyond_the_ends_are_asked_for(low, high, policy):
    def function(x, a, b):
        rows = RowPolicy(
            Independent({n: LogUniform(low, high) for n in "ab"}), policy
        )
        asked, _, valid = rows.admit({"a": a, "b": b})
        return {"y": rows.blank(x * asked["a"] + asked["b"], valid)}

    with pytest.raises(VerificationError, match=r"a=(8.075|0.425), which"):
        compare(endpoint(function, only_y), policy)


def test_what_says_that_a_row_is_answered_is_held_to_it():
    def function(x, a, b):
        found = own("flag")(x=x, a=a, b=b)
        return {"y": found["y"], "in_range": tf.fill(tf.shape(x), True)}

    def expected(x, a, b):
        return {"y": x * a + b, "in_range": np.full(len(x), True)}

    with pytest.raises(VerificationError, match="False in in_range"):
        compare(endpoint(function, expected), "flag")


def test_a_request_of_such_rows_alone_is_flagged_too():
    def function(x, a, b):
        rows = RowPolicy(JOINT, "flag")
        asked, _, valid = rows.admit({"a": a, "b": b})
        # The first good row's, for want of a better one.
        a = tf.where(valid, asked["a"], tf.boolean_mask(asked["a"], valid)[0])
        return {"y": rows.blank(x * a + asked["b"], valid)}

    with pytest.raises(VerificationError, match="flagged .*eceived: .*slice"):
        compare(endpoint(function, only_y), "flag")


@pytest.mark.parametrize("threshold", [-9, 1, 1e9])
def test_a_class_that_is_0_anyway_flags_nothing(threshold):
    """Whole numbers alone, which take no notice."""

    def function(x, a, b):
        asked, _, _ = RowPolicy(JOINT, "flag").admit({"a": a, "b": b})
        y = x * asked["a"] + asked["b"]
        return {"n": tf.cast(y > threshold, tf.int32)}

    def expected(x, a, b):
        return {"n": (x * a + b > threshold).astype("int32")}

    message = (
        "some answer is not 0"
        if threshold == 1e9
        else "0, or an empty text, in"
    )
    with pytest.raises(VerificationError, match=message):
        compare(endpoint(function, expected), "flag")


def test_a_class_that_is_0_in_the_first_example_is_asked_for_again():
    def function(x, a, b):
        rows = RowPolicy(JOINT, "flag")
        asked, _, valid = rows.admit({"a": a, "b": b})
        y = x * asked["a"] + asked["b"]
        return {"n": rows.blank(tf.cast(y > 5, tf.int32), valid)}

    def expected(x, a, b):
        return {"n": (x * a + b > 5).astype("int32")}

    def in_turn(rows, seed):
        at = np.float32([(seed or 0) % 4] * rows)
        return {"x": 2 * at, "a": at / 2 + 1, "b": at / 4 + 2}

    one = endpoint(function, expected, example=in_turn, max_rows=1)
    assert len(compare(one, "flag")) == 2


def test_policies_are_not_taken_for_each_other():
    with pytest.raises(VerificationError, match=r"flagged .*eceived: Expected"):
        compare(own("error"), "flag")
    with pytest.raises(VerificationError, match="to fail with INVALID_ARG"):
        compare(own("flag"), "error")


def _all_rows(valid):
    return tf.fill(tf.shape(valid), tf.reduce_all(valid))


def _shifted(valid):
    return tf.roll(valid, 1, 0)


def test_a_flagged_row_is_empty_and_alone():
    with pytest.raises(VerificationError, match="NaN in y, as .*RowPolicy"):
        compare(own("flag", blank=False), "flag")
    with pytest.raises(VerificationError, match="alone.* another y of another"):
        compare(own("flag", changed=_all_rows), "flag")
    with pytest.raises(VerificationError, match="NaN in y"):
        compare(own("flag", changed=_shifted), "flag")


def test_other_rows_are_answered_as_they_were():
    """The default for all, if one is wrong; whole numbers in other places."""

    def default_for_all(x, a, b):
        asked, _, valid = RowPolicy(JOINT, "flag").admit({"a": a, "b": b})
        a = tf.where(tf.reduce_all(valid), asked["a"], 1.0)
        y = RowPolicy(JOINT, "flag").blank(x * a + asked["b"], valid)
        return {"y": y}

    with pytest.raises(VerificationError, match="another y of another row"):
        compare(endpoint(default_for_all, only_y), "flag")

    def packed(x, a, b):
        asked, _, valid = RowPolicy(JOINT, "flag").admit({"a": a, "b": b})
        n = tf.cast(x * asked["a"] + asked["b"], tf.int32)
        kept = tf.boolean_mask(n, valid)
        # The missing ones first.
        return {"n": tf.pad(kept, [[tf.size(n) - tf.size(kept), 0]])}

    def only_n(**given):
        return {"n": reference(**given)["n"]}

    with pytest.raises(VerificationError, match="not trained, to be flagged"):
        compare(endpoint(packed, only_n), "flag")


def test_what_says_that_a_row_is_refused_may_be_any_number():
    """A status, or what is the same in every row, as a fingerprint."""

    def function(x, a, b):
        rows = RowPolicy(JOINT, "flag")
        asked, _, valid = rows.admit({"a": a, "b": b})
        y = rows.blank(x * asked["a"] + asked["b"], valid)
        return {"y": y, "status": tf.where(valid, 0, 3), "mark": 0 * x + 7}

    def expected(x, a, b):
        zero = np.zeros(len(x), "int32")
        return {"y": x * a + b, "status": zero, "mark": zero + 7}

    with pytest.raises(VerificationError, match="NaN in mark"):
        compare(endpoint(function, expected), "flag")

    def whole(x, a, b):
        found = function(x, a, b)
        return {**found, "mark": tf.cast(found["mark"], tf.int32)}

    assert len(compare(endpoint(whole, expected), "flag")) == 6


def curve(policy, judged, num=2):
    """`judged(values)`: what of `(rows, num)` values it looks at."""
    rows = RowPolicy(Independent({"a": LogUniform(0.5, 8.0)}), policy)

    def function(x, a):
        asked, _, valid = rows.admit({"a": a})
        valid = judged(valid)
        if policy == "error":
            valid = tf.ones_like(valid)
        return {"y": rows.blank(x[:, None] * asked["a"], valid)}

    def guarded(x, a):
        """An author's own guard, in place of `RowPolicy`."""
        good = judged((a >= 0.5) & (a <= 8.0))
        tf.debugging.Assert(tf.reduce_all(good), ["expected a"])
        return {"y": x[:, None] * a}

    def example(rows, seed):
        x = np.arange(rows, dtype="float32") + (seed or 0)
        a = np.resize(np.float32([1, 2, 4, 8]), (rows, num))
        return {"x": x, "a": a}

    return endpoint(
        guarded if policy == "error" else function,
        lambda x, a: {"y": x[:, None] * a},
        names=("a",),
        inputs=[
            tf.TensorSpec([None], tf.float32, name="x"),
            tf.TensorSpec([None, None], tf.float32, name="a"),
        ],
        example=example,
    )


@POLICIES
@pytest.mark.parametrize(
    ("judged", "good"),
    [
        (lambda v: v, True),
        # The first row alone.
        (lambda v: tf.concat([v[:1], tf.ones_like(v[1:])], 0), False),
        (lambda v: tf.repeat(v[:, :1], tf.shape(v)[1], axis=1), False),
        (lambda v: tf.repeat(v[:, -1:], tf.shape(v)[1], axis=1), False),
        # All values of a row, if one is wrong: emptied with it.
        (
            lambda v: tf.repeat(
                tf.reduce_all(v, 1, keepdims=True), tf.shape(v)[1], 1
            ),
            True,
        ),
        (
            lambda v: tf.repeat(
                tf.reduce_any(v, 1, keepdims=True), tf.shape(v)[1], 1
            ),
            False,
        ),
    ],
)
@pytest.mark.parametrize("num", [2, 3])
def test_every_value_of_a_curve_is_judged(judged, good, policy, num):
    joint = Independent({"a": LogUniform(0.5, 8.0)})
    one = curve(policy, judged, num)
    if good:
        assert len(compare(one, policy, joint)) == 2
        return
    with pytest.raises(VerificationError, match="not trained, to (fail|be fl)"):
        compare(one, policy, joint)


def test_other_values_of_a_curve_are_answered_as_they_were():
    joint = Independent({"a": LogUniform(0.5, 8.0)})

    def function(x, a):
        rows = RowPolicy(joint, "flag")
        asked, _, valid = rows.admit({"a": a})
        whole = tf.reduce_all(valid, 1, keepdims=True)
        y = x[:, None] * tf.where(whole, asked["a"], 2.0)
        return {"y": rows.blank(y, valid)}

    right = curve("flag", lambda v: v)
    wrong = endpoint(
        function,
        right.reference,
        names=("a",),
        inputs=right.inputs,
        example=right.example,
    )
    with pytest.raises(VerificationError, match="y of another row or value"):
        compare(wrong, "flag", joint)


def test_examples_of_curves_ask_for_several_values_of_a_row():
    one = curve("flag", lambda v: v)
    equal = endpoint(
        lambda x, a: one.function(x, tf.repeat(a[:, :1], 2, axis=1)),
        one.reference,
        names=("a",),
        inputs=one.inputs,
        example=lambda rows, seed: {
            **(found := one.example(rows, seed)),
            "a": np.repeat(found["a"][:, :1], 2, axis=1),
        },
    )
    joint = Independent({"a": LogUniform(0.5, 8.0)})
    with pytest.raises(InputError, match="same in every column"):
        compare(equal, "flag", joint)


def test_one_row_at_a_time_asks_for_several_values_in_turn():
    def example(rows, seed, values=(2, 2)):
        given = {"x": np.arange(rows, dtype="float32") + (seed or 0)}
        values = np.float32([values[(seed or 0) % 2]] * rows)
        return {**given, "a": values, "b": values + 1}

    def in_turn(rows, seed):
        return example(rows, seed, (2, 4))

    good = endpoint(own("error"), example=in_turn, max_rows=1)
    assert len(compare(good, "error")) == 6
    wrong = endpoint(own("error"), example=example, max_rows=1)
    with pytest.raises(InputError, match="of a, received: the same in every r"):
        compare(wrong, "error")


def between(low, high):
    """An author's own guard by the ends of each parameter."""

    def function(x, **given):
        for value in given.values():
            good = ~((value < low) | (value > high))
            tf.debugging.Assert(tf.reduce_all(good), ["expected others"])
        a, b = given.values()
        return {"y": x * a + b}

    return function


@pytest.mark.parametrize(
    ("joint", "values", "asked"),
    [
        # NaN is neither below nor above; the example is of whole numbers.
        (JOINT, [1, 2, 4], "a=nan"),
        # Of the values of a list, none in between.
        (
            Independent({"a": Choice([0.5, 2, 8]), "b": Choice([0.5, 2, 8])}),
            [0.5, 2, 8],
            "a=(nan|1.25)",
        ),
        # In the second gap, and of whole numbers.
        (
            Independent({n: Choice([0, 1, 4]) for n in "ab"}),
            [0, 1, 4],
            "a=(nan|2.5|2)",
        ),
        # Of shares, none that sum to more.
        (Dirichlet({"a": 1.0, "b": 1.0}), [0.25, 0.75], "a=(nan|1, b=1)"),
    ],
)
def test_values_between_and_sums_are_asked_for(joint, values, asked):
    def whole(rows, seed):
        found = endpoint(only_y, values=values).example(rows, seed)
        if joint is JOINT:
            return {n: v.astype(int) for n, v in found.items()}
        return {**found, "b": 1 - found["a"]} if "1, b" in asked else found

    low, high = (0, 1) if "1, b" in asked else (min(values), max(values))
    if joint is JOINT:
        low, high = 0.5, 8
    one = endpoint(between(low, high), only_y, example=whole)
    with pytest.raises(VerificationError, match=f"asks for {asked}, which"):
        compare(one, "error", joint)


@POLICIES
@pytest.mark.parametrize("value", [3.0, 1e6, -1e7, 1e8])
def test_what_was_trained_is_not_asked_for(policy, value):
    """Next to a large number there is no other of float32."""
    joint = Independent({"a": LogUniform(0.5, 8.0), "b": Constant(value)})

    def function(x, a):
        rows = RowPolicy(joint, policy)
        asked, _, valid = rows.admit({"a": a})
        return {"y": rows.blank(x * asked["a"], valid)}

    one = endpoint(function, lambda x, a: {"y": x * a}, names=("a",))
    assert len(compare(one, policy, joint)) == 2
    alone = Independent({"a": Constant(value)})

    def fixed(x, a):
        rows = RowPolicy(alone, policy)
        asked, _, valid = rows.admit({"a": a})
        return {"y": rows.blank(x * asked["a"], valid)}

    one = endpoint(
        fixed, lambda x, a: {"y": x * a}, names=("a",), values=[value]
    )
    assert len(compare(one, policy, alone)) == 2


@POLICIES
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_a_list_of_whole_numbers_is_asked_for_in_its_own_type(dtype, policy):
    joint = Independent({"a": Choice([1, 2, 4])})

    def function(x, a):
        rows = RowPolicy(joint, policy)
        asked, _, valid = rows.admit({"a": tf.cast(a, tf.float32)})
        return {"y": rows.blank(x * asked["a"], valid)}

    def example(rows, seed):
        at = np.arange(rows) + (seed or 0)
        values = np.array([1, 2, 4], dtype)[at % 3]
        return {"x": at.astype("float32"), "a": values}

    one = endpoint(
        function,
        lambda x, a: {"y": x * a.astype("float32")},
        names=("a",),
        example=example,
        inputs=[
            tf.TensorSpec([None], tf.float32, name="x"),
            tf.TensorSpec([None], dtype, name="a"),
        ],
    )
    assert len(compare(one, policy, joint)) == 2


@POLICIES
@pytest.mark.parametrize(
    ("parameter", "values", "low", "high"),
    [
        (LogUniform(0.125, 512), [1, 8, 64], -1e9, 1e9),
        (LogUniform(0.5, 8), [1, 2, 4], 1, 1e9),
        (Choice([1, 2, 3]), [1, 2, 3], 0, 3),
        (Choice([1, 2, 3]), [1, 2, 3], 1, 4),
    ],
)
def test_whole_numbers_are_asked_for_whole_numbers(
    parameter, values, low, high, policy
):
    """An author's own guard, in place of `RowPolicy`, of an int32 input."""
    joint = Independent({"a": parameter})

    def function(x, a):
        a = tf.cast(a, tf.float32)
        good = (a >= low) & (a <= high)
        if policy == "error":
            tf.debugging.Assert(tf.reduce_all(good), ["expected others"])
        return {"y": tf.where(good, x * a, np.nan)}

    def example(rows, seed):
        at = np.arange(rows) + (seed or 0)
        return {"x": at.astype("float32"), "a": np.int32(values)[at % 3]}

    one = endpoint(
        function,
        lambda x, a: {"y": x * a.astype("float32")},
        names=("a",),
        example=example,
        inputs=[
            tf.TensorSpec([None], tf.float32, name="x"),
            tf.TensorSpec([None], tf.int32, name="a"),
        ],
    )
    with pytest.raises(VerificationError, match="not trained, to (fail|be fl)"):
        compare(one, policy, joint)


@pytest.mark.parametrize(
    ("low", "high", "guard"),
    [(0, 1, (-0.009, 1)), (-1, 0, (-1, 0.009)), (100, 101, (99.995, 102))],
)
def test_beyond_ends_near_and_far_from_0_is_asked_for(low, high, guard):
    joint = Independent({n: Uniform(low, high) for n in "ab"})
    values = np.linspace(low, high, 3)
    one = endpoint(between(*guard), only_y, values=values)
    with pytest.raises(VerificationError, match="not trained, to fail"):
        compare(one, "error", joint)


@POLICIES
def test_a_parameter_may_be_a_column(policy):
    joint = Independent({"a": LogUniform(0.5, 8.0)})

    def function(x, a):
        rows = RowPolicy(joint, policy)
        asked, _, valid = rows.admit({"a": a[:, 0]})
        return {"y": rows.blank(x * asked["a"], valid)}

    def example(rows, seed):
        found = endpoint(function, names=("a",)).example(rows, seed)
        return {**found, "a": found["a"][:, None]}

    one = endpoint(
        function,
        lambda x, a: {"y": x * a[:, 0]},
        names=("a",),
        example=example,
        inputs=[
            tf.TensorSpec([None], tf.float32, name="x"),
            tf.TensorSpec([None, 1], tf.float32, name="a"),
        ],
    )
    assert len(compare(one, policy, joint)) == 2


def test_a_reference_that_is_no_dict_is_a_sentence():
    one = endpoint(own("error"), lambda x, a, b: x * a + b)
    with pytest.raises(InputError, match="dict of arrays, received: ndarray"):
        compare(one, "error")
