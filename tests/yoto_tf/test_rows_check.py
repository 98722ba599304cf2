"""Signatures that answer what was never trained are not published."""

import numpy as np
import pytest
import tensorflow as tf

from yoto_tf import verification
from yoto_tf.endpoint import Endpoint
from yoto_tf.errors import VerificationError
from yoto_tf.method.joint import Independent
from yoto_tf.method.parameters import LogUniform
from yoto_tf.rows import RowPolicy

JOINT = Independent({"a": LogUniform(0.5, 8.0), "b": LogUniform(0.5, 8.0)})


class Eager:
    """A session that runs the functions as TensorFlow does, eagerly."""

    operations = frozenset()

    def __init__(self, function):
        self._function = function
        self.signatures = {"serving_default", "own"}

    def run(self, _, inputs):
        tensors = [tf.constant(inputs[n]) for n in ("x", "a", "b")]
        found = self._function(*tensors)
        return {n: np.asarray(v) for n, v in found.items()}


def own(policy, blank=True, all_rows=False, checked=("a", "b")):
    """A signature as an author would write it, with a fault or none."""
    rows = RowPolicy(JOINT, policy)

    def function(x, a, b):
        given = {"a": a, "b": b}
        asked, _, valid = rows.admit({n: given[n] for n in checked})
        found = {n: asked[n] if n in checked else given[n] for n in given}
        if all_rows:
            valid = tf.fill(tf.shape(valid), tf.reduce_all(valid))
        y = x * found["a"] + found["b"]
        outputs = {"y": y, "n": tf.cast(y, tf.int32), "s": tf.as_string(y)}
        if blank:
            outputs = {n: rows.blank(v, valid) for n, v in outputs.items()}
        return outputs

    return function


def compare(function, policy):
    def reference(x, a, b):
        y = x * a + b
        texts = tf.as_string(tf.constant(y)).numpy()
        return {"y": y, "n": y.astype("int32"), "s": texts}

    def example(rows, seed):
        at = np.arange(rows) + (seed or 0)
        values = np.float32([1, 2, 4])
        return {
            "x": at.astype("float32"),
            "a": values[at % 3],
            "b": values[(at + 1) % 3],
        }

    endpoint = Endpoint(
        name="own",
        inputs=[tf.TensorSpec([None], tf.float32, name=n) for n in "xab"],
        function=function,
        reference=reference,
        example=example,
    )
    return verification.compare(Eager(function), [endpoint], JOINT, policy)


@pytest.mark.parametrize("policy", ["error", "flag"])
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


@pytest.mark.parametrize("policy", ["error", "flag"])
@pytest.mark.parametrize("function", [_answered, _finite])
def test_answers_to_what_was_not_trained_are_refused(function, policy):
    with pytest.raises(VerificationError, match="not trained, to (fail|be fl)"):
        compare(function, policy)


@pytest.mark.parametrize("policy", ["error", "flag"])
def test_every_loss_parameter_is_asked_beyond_its_values(policy):
    with pytest.raises(VerificationError, match="a row that asks for b="):
        compare(own(policy, checked=("a",)), policy)


def test_policies_are_not_taken_for_each_other():
    with pytest.raises(VerificationError, match="flagged .*eceived: Expected"):
        compare(own("error"), "flag")
    with pytest.raises(VerificationError, match="to fail with INVALID_ARG"):
        compare(own("flag"), "error")


def test_a_flagged_row_is_empty_and_alone():
    with pytest.raises(VerificationError, match="stands for nothing, in y"):
        compare(own("flag", blank=False), "flag")
    with pytest.raises(VerificationError, match="flagged alone.* y of another"):
        compare(own("flag", all_rows=True), "flag")
