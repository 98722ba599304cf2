"""Nothing is served that was not compared."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from yoto_tf import verification
from yoto_tf.endpoint import Endpoint
from yoto_tf.endpoint import by_signature
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.method.joint import Independent
from yoto_tf.method.parameters import Uniform


def double(x):
    return {"y": 2 * x}


def doubled(x):
    return {"y": x + x}


def some(rows, seed):
    return {"x": np.arange(rows, dtype="float32") + (seed or 0)}


def make(name="double", **changes):
    return Endpoint(
        **{
            "name": name,
            "inputs": [tf.TensorSpec([None], tf.float32, name="x")],
            "function": double,
            "reference": doubled,
            "example": some,
            **changes,
        }
    )


class Answers:
    """A session that answers by Python functions."""

    operations = frozenset()
    is_compiled = False

    def __init__(self, **functions):
        self._functions = functions
        self.signatures = set(functions)

    def run(self, signature, inputs):
        found = self._functions[signature](**inputs)
        return {n: np.asarray(v) for n, v in found.items()}


def compared(function, **changes):
    session = Answers(serving_default=function, double=function)
    return verification.compare(session, [make(**changes)])


def of_two():
    return Independent({"a": Uniform(0.5, 2.5), "b": Uniform(0.5, 2.5)})


def test_right_answers_pass_and_the_worst_difference_is_told():
    differences = compared(lambda x: {"y": 2 * x + 5e-5 * (x == 7)})
    assert {(d.signature, d.output) for d in differences} == {
        ("serving_default", "y"),
        ("double", "y"),
    }
    for d in differences:
        assert d.largest == pytest.approx(5e-5, rel=0.02)
        assert d.of == 14


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: {"y": 2000 * x}, "y of the C.. session differs by up to"),
        (lambda x: {"y": 2 * x + 2e-4}, "differs by up to 0.0002"),
        (lambda x: {"y": np.where(x == 9, np.nan, 2 * x)}, "up to nan"),
        (lambda x: {"y": 2 * x[:1]}, r"of shape \(8,\), received: \(1,\)"),
        (lambda x: {"y": 2 * x, "z": x}, r"\['y'\], received: \['y', 'z'\]"),
        (lambda x: {}, r"outputs \['y'\], received: \[\]"),
    ],
)
def test_wrong_answers_are_found_out(answer, message):
    with pytest.raises(VerificationError, match=message):
        compared(answer)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (lambda x: np.int64(10**6) + x.astype("int64"), 1),
        (lambda x: x.astype("uint8"), 1),
        (lambda x: x < 100, True),  # turned into their opposite
        (lambda x: x.astype("complex64"), 1e-3j),
        (lambda x: x.astype("float16"), 1e-2),
    ],
)
def test_numbers_of_every_kind_are_compared(right, wrong):
    def answer(change):
        def function(x):
            y = right(x)
            changed = y ^ change if y.dtype == bool else y + change
            return {"y": changed.astype(y.dtype)}

        return function

    kind = {"reference": answer(0)}
    assert {d.largest for d in compared(answer(0), **kind)} == {0}
    with pytest.raises(VerificationError, match="differs by up to"):
        compared(answer(wrong), **kind)


def test_infinities_are_compared_by_their_sign():
    """As of logits of what is masked out."""

    def masked(x, mask=-np.inf):
        return {"y": np.where(x == 7, mask, 2 * x)}

    assert compared(masked, reference=masked)[0].largest == 0
    for wrong in (np.inf, np.nan, 14.0):
        with pytest.raises(VerificationError, match="differs by up to"):
            compared(lambda x, w=wrong: masked(x, w), reference=masked)
        if not np.isnan(wrong):
            with pytest.raises(VerificationError, match="up to inf"):
                compared(masked, reference=lambda x, w=wrong: masked(x, w))


def test_a_row_does_not_depend_on_those_beside_it():
    for mixed in (
        lambda x: x - x.mean(),
        np.cumsum,  # of which the first row is right
        lambda x: np.append(x[:1], x[:-1]),  # a row before
        lambda x: x + (np.arange(x.size) == 4),
    ):

        def answer(x, mixed=mixed):
            return {"y": mixed(x)}

        with pytest.raises(VerificationError, match="y of a row is not the"):
            compared(answer, reference=answer)

    def total(x):  # without a batch, which no server puts together
        return {"y": x.sum()}

    assert compared(total, reference=total)[0].largest == 0


def test_small_outputs_are_compared_by_their_own_size():
    """As the rate of rare events, or lengths in metres."""

    def small(x, factor=1e-6):
        return {"y": factor * (x + 1)}

    assert compared(small, reference=small)[0].largest == 0
    for wrong in (
        lambda x: small(x, 1.1e-6),
        lambda x: {"y": 0 * x},
        lambda x: {"y": 1e-6 * (x + 1) + 2e-6 * (x == 3)},
    ):
        with pytest.raises(VerificationError, match="differs by up to"):
            compared(wrong, reference=small)

    def mixed(x):
        return {"y": 1e-6 * (x - x.mean())}

    with pytest.raises(VerificationError, match="y of a row is not the"):
        compared(mixed, reference=mixed)

    # Zeros, of a layer that begins with them, are small and right.
    def nothing(x):
        return {"y": 0 * x}

    assert compared(nothing, reference=nothing)[0].largest == 0


def test_large_outputs_are_compared_by_their_columns():
    """A number near 0 has the roundings of those that it is made of."""

    def watts(x, off=0.0):
        large = 1e6 * (x - 3)
        return {"y": np.stack([large + off * (x == 3), x], 1)}

    assert compared(lambda x: watts(x, 0.3), reference=watts)
    with pytest.raises(VerificationError, match="differs by up to 30"):
        compared(lambda x: watts(x, 30.0), reference=watts)

    # As of counts, whose small ones are exact as well.
    def counts(x):
        return {"y": np.exp(x / 2)}

    with pytest.raises(VerificationError, match="differs by up to"):
        compared(lambda x: {"y": np.floor(counts(x)["y"])}, reference=counts)
    # The other column is as exact as ever.
    with pytest.raises(VerificationError, match="differs by up to 0.3"):
        compared(lambda x: {"y": watts(x)["y"] + [0, 0.3]}, reference=watts)


def test_what_rounding_leaves_of_a_sum_is_no_difference():
    def left(x, off=0.0):
        return {"y": 1.2e-7 * (x % 2) + off}

    assert compared(lambda x: left(x, 1.2e-7), reference=left)


def test_an_output_without_rows_may_have_as_many_entries_as_rows():
    def weights(x):
        return {"y": 2 * x, "w": np.arange(8.0)}

    assert compared(weights, reference=weights)


def test_no_more_rows_are_compared_than_may_be_asked_for():
    def few(x):
        assert len(x) <= 2
        return {"y": 2 * x}

    assert compared(few, max_rows=2)[0].largest == 0


def test_whole_numbers_of_a_row_are_the_same_to_the_last_one():
    def ids(x):
        return {"y": 10**9 + (x.astype("int64") + x.size)}

    with pytest.raises(VerificationError, match="y of a row is not the"):
        compared(ids, reference=ids)

    def large(x, more=0):
        # Of float64 these are the same.
        return {"y": 10**18 + x.astype("int64") + more}

    assert compared(large, reference=large)[0].largest == 0
    with pytest.raises(VerificationError, match="y of the C.. session differs"):
        compared(lambda x: large(x, 3), reference=large)


def test_texts_are_compared():
    def said(x, at=3):
        return {"y": np.where(x > at, b"yes", b"no")}

    def by_keras(x):
        return {"y": [["no", "yes"][int(v > 3)] for v in x]}

    assert compared(said, reference=by_keras)[0].largest == 0
    with pytest.raises(VerificationError, match="y of the C.. session differs"):
        compared(lambda x: said(x, 4), reference=by_keras)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (
            lambda rows, seed: {"z": np.ones(rows)},
            r"\['x'\], received: \['z'\]",
        ),
        (lambda rows, seed: {"x": np.arange(16)}, r"for, 8, .*x.shape=\(16,\)"),
        (lambda rows, seed: {"x": np.float32(1)}, r"for, 8, .*x.shape=\(\)"),
        (lambda rows, seed: {"x": np.ones(rows)}, "differ.*8 equal rows"),
    ],
)
def test_examples_that_show_nothing_are_refused(example, message):
    with pytest.raises(InputError, match=f"example of double to be.*{message}"):
        compared(double, example=example)


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        # One that the function takes no notice of would be found right,
        ([1], [1, 2], InputError, "several values of a at once"),
        # the first row's for all,
        ("seed", [1, 2], InputError, "several values of a at once"),
        # and one for the other.
        ([1, 2], [1, 2], InputError, "another value of b than of a"),
        ([1, 2], [2, 1, 1], VerificationError, "differs"),
    ],
)
def test_examples_tell_loss_parameters_apart(a, b, error, message):
    inputs = [tf.TensorSpec([None], tf.float32, name=n) for n in "xab"]

    def swapped(x, a, b):
        return {"y": 2 * x * b + a}

    def right(x, a, b):
        return {"y": 2 * x * a + b}

    def example(rows, seed):
        given = [seed + 1] if a == "seed" else a
        return {
            **some(rows, seed),
            "a": np.resize(np.float32(given), rows),
            "b": np.resize(np.float32(b), rows),
        }

    session = Answers(serving_default=swapped, double=swapped)
    one = make(
        inputs=inputs, function=swapped, reference=right, example=example
    )
    if message != "differs":
        # Where both are right in what is asked, too.
        session = Answers(serving_default=right, double=right)
    with pytest.raises(error, match=message):
        verification.compare(session, [one], of_two())


def test_a_row_for_some_alone_is_refused():
    def four(x):
        return {"y": 2 * x[:4]}

    with pytest.raises(VerificationError, match=r"a row for each of 3, .*3,\)"):
        compared(four, reference=four)


def test_an_example_that_the_model_cannot_answer_is_told_as_such():
    def missing(x):
        return {"y": np.where(x == 3, np.nan, 2 * x)}

    with pytest.raises(VerificationError, match="y of the Keras model is not"):
        compared(missing, reference=missing)


def test_whole_numbers_as_floats_are_whole_numbers():
    def ids(x, more=0):
        return {"y": 123456789 + x.astype("int64") + more}

    def as_floats(x):
        return {"y": ids(x, 100)["y"].astype("float64")}

    with pytest.raises(VerificationError, match="differs by up to 100"):
        compared(as_floats, reference=ids)


def test_an_output_without_numbers_has_no_difference():
    def nothing(x):
        return {"y": x[:, None][:, :0]}

    assert compared(nothing, reference=nothing)[0].largest == 0


def test_tolerances_are_an_endpoints_own():
    def off(x):
        return {"y": 2 * x + 0.5}

    assert compared(off, tolerances={"y": 0.6})[0].largest == 0.5
    with pytest.raises(VerificationError, match="differs by up to 0.5"):
        compared(off, tolerances={"y": 0.4})

    def shades(x, more=0):
        return {"y": (10 * x + more).astype("uint8")}

    def brighter(x):
        return shades(x, 1)

    found = compared(brighter, reference=shades, tolerances={"y": 1.0})
    assert found[0].largest == 1
    with pytest.raises(VerificationError, match="differs by up to 1 "):
        compared(brighter, reference=shades)


def test_outputs_that_are_no_numbers_are_compared_too():
    def words(x):
        return {"y": np.array([b"%g" % (2 * v) for v in x], object)}

    numbers = {"y": lambda found: found.astype("float64")}
    assert compared(words, as_numbers=numbers)[0].largest == 0
    with pytest.raises(VerificationError, match="differs"):
        compared(lambda x: words(x * 2), as_numbers=numbers)


@pytest.mark.parametrize("names", [["double"], ["double", "more"]])
def test_the_signatures_must_be_the_endpoints(names):
    session = Answers(serving_default=double, **dict.fromkeys(names, double))
    wanted = [make("double")] if len(names) == 2 else [make(), make("more")]
    with pytest.raises(VerificationError, match="expected the signatures"):
        verification.compare(session, wanted)


@pytest.mark.parametrize("role", ["function", "reference", "example", "inputs"])
def test_an_endpoint_cannot_be_made_without(role):
    parts = {
        name: getattr(make(), name)
        for name in ("name", "inputs", "function", "reference", "example")
    }
    with pytest.raises(TypeError, match=role):
        Endpoint(**{n: p for n, p in parts.items() if n != role})


def _spec(*shape, name="x"):
    return [tf.TensorSpec(shape, tf.float32, name=name)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": None}, "a reference to call, received: reference=None"),
        ({"example": {}}, "an? example to call"),
        ({"reference": double}, "not the served function itself"),
        (
            {"function": tf.function(double), "reference": double},
            "not the served function itself",
        ),
        ({"inputs": []}, r"received: \[\]"),
        ({"inputs": _spec(None, name=None)}, "names of their own"),
        ({"inputs": _spec(None, name="a b")}, "letters, digits and _"),
        ({"inputs": 2 * _spec(None)}, r"received: \['x', 'x'\]"),
        ({"inputs": _spec()}, r"an open batch first, received: shape \(\)"),
        ({"inputs": _spec(8, 2)}, r"received: shape \(8, 2\)"),
        ({"name": "serving_default"}, "other than serving_default"),
        ({"name": "a/b"}, "name='a/b'"),
    ],
)
def test_endpoints_that_could_not_be_served_or_compared(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_two_of_one_name_or_none_are_refused():
    for wrong in ([], [make(), make()]):
        with pytest.raises(InputError, match="names of their own"):
            by_signature(wrong)


def test_requests_are_admitted_before_the_function_sees_them():
    """Shapes that differ, batches that do not fit, rows and entries past the
    limit."""
    seen = []

    def total(x, k):
        with tf.control_dependencies([tf.py_function(seen.append, [x], [])]):
            return {"y": x * tf.reduce_sum(k, axis=1)}

    served = tf.function(
        make(
            inputs=[*_spec(None), *_spec(None, None, name="k")],
            function=total,
            max_rows=6,
        ).served,
        input_signature=[tf.TensorSpec(None, tf.float32)] * 2,
        autograph=False,
    )
    found = served(tf.ones([2]), tf.ones([2, 3]))
    assert found["y"].numpy().tolist() == [3, 3]
    assert len(seen) == 1
    for x, k, message in (
        ([7], [7, 0], "at most 6 rows per request, received:.*7"),
        ([2], [2, 4], "at most 6 entries of k per request, received:.*8"),
        ([1], [2, 2], r"one row of k per row of x.*\[1\] \[2\]"),
        ([2, 1], [2, 2], "not compatible with expected shape"),
        ([2], [2], "not compatible with expected shape"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served(tf.ones(x), tf.ones(k))
    assert len(seen) == 1


def test_the_served_functions_parameters_have_the_inputs_names():
    served = tf.function(make().served, autograph=False)
    assert served(x=tf.ones([2]))["y"].numpy().tolist() == [2, 2]
    with contextlib.suppress(AttributeError):
        assert served.python_function.__name__ == "double"


def test_a_request_has_no_more_entries_than_are_admitted():
    """As of warm-up requests of the largest batch."""
    pairs = make(
        inputs=[
            tf.TensorSpec([None, None], tf.float32, name="x"),
            tf.TensorSpec([None], tf.float32, name="y"),
        ],
        function=lambda x, y: {"z": x},
        reference=lambda x, y: {"z": x},
        example=lambda rows, seed: {
            "x": np.zeros((rows, 3), "float32"),
            "y": np.zeros(rows, "float32"),
        },
        max_rows=100,
    )
    assert pairs.request(20, None)["x"].shape == (20, 3)
    assert pairs.request(100, None)["x"].shape == (33, 3)
    assert pairs.request(1000, None)["y"].shape == (33,)
