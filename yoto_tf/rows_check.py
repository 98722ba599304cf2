"""Whether what a session serves heeds `invalid_rows`, found by asking."""

import numpy as np
import tensorflow as tf

from yoto_tf.endpoint import by_signature
from yoto_tf.errors import VerificationError


def check(session, endpoints, joint, invalid_rows):
    """Asks every signature for values that were never trained.

    Args:
        session: `yoto_tf.session.Session`.
        endpoints: list of `Endpoint`.
        joint: `JointParameters` of the model.
        invalid_rows: what becomes of rows that cannot be answered, see
            `yoto_tf.rows.RowPolicy`.

    Raises:
        VerificationError: for a signature that answers such a row, or empties
            others, or fails where it should flag.
    """
    for signature, endpoint in by_signature(endpoints).items():
        inputs = endpoint.request(2, 0)
        for name in joint.asked:
            if name not in inputs:
                continue
            for value in _untrained(joint.facts(name), inputs[name].dtype):
                bad = inputs[name].copy()
                bad[0] = value
                one = _Asked(session, signature, f"{name}={value:g}")
                if invalid_rows == "flag":
                    one.must_flag(inputs, {**inputs, name: bad})
                else:
                    one.must_fail({**inputs, name: bad})


def _untrained(facts, dtype):
    low, high = facts["low"], facts["high"]
    beyond = [high + (high - low) + 1, low - (high - low) - 1]
    return ([np.nan] if dtype.kind == "f" else []) + beyond


class _Asked:
    """One signature, and what it is asked for."""

    def __init__(self, session, signature, what):
        self._session, self._signature = session, signature
        self._what = f"{signature}: expected a row that asks for {what}"

    def must_fail(self, inputs):
        try:
            self._session.run(self._signature, inputs)
        except tf.errors.InvalidArgumentError:
            return
        raise VerificationError(
            f"{self._what}, which was not trained, to fail with "
            "INVALID_ARGUMENT, as yoto_tf.rows.RowPolicy.admit lets it, "
            "received: an answer"
        )

    def must_flag(self, good, bad):
        said = f"{self._what}, which was not trained, to be flagged"
        before = self._session.run(self._signature, good)
        try:
            after = self._session.run(self._signature, bad)
        except tf.errors.InvalidArgumentError as error:
            raise VerificationError(
                f"{said} (invalid_rows='flag'), received: {error.message}"
            ) from error
        rows = len(next(iter(bad.values())))
        for name in after:
            value, earlier = np.asarray(after[name]), np.asarray(before[name])
            if value.shape[:1] != (rows,):
                continue
            if not _is_empty(value[:1]):
                raise VerificationError(
                    f"{said}: NaN, or what stands for nothing, in {name}, as "
                    "yoto_tf.rows.RowPolicy.blank makes it, received: an "
                    "answer"
                )
            same = earlier.shape == value.shape
            if rows > 1 and not (same and _same_gaps(earlier[1:], value[1:])):
                raise VerificationError(
                    f"{said} alone, received: {name} of another row, which "
                    "is no longer answered"
                )


def _is_empty(value):
    if _is_float(value):
        return bool(np.isnan(value).all())
    return not value.astype(bool).any()


def _same_gaps(before, after):
    if not _is_float(before):
        return True
    return np.array_equal(np.isnan(before), np.isnan(after))


def _is_float(value):
    # NumPy does not know that bfloat16 is one.
    return tf.as_dtype(value.dtype).is_floating
