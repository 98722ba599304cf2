"""Whether what a session serves heeds `invalid_rows`, found by asking."""

import numpy as np
import tensorflow as tf

from yoto_tf.answers import is_float
from yoto_tf.endpoint import by_signature
from yoto_tf.errors import VerificationError

_ROWS = 3


def check(session, endpoints, joint, invalid_rows, close):
    """Asks every signature for values that were never trained: in the first
    and in the last row, and of several in a row for the last one alone.

    Args:
        session: `yoto_tf.session.Session`.
        endpoints: list of `Endpoint`.
        joint: `JointParameters` of the model.
        invalid_rows: what becomes of rows that cannot be answered, see
            `yoto_tf.rows.RowPolicy`.
        close: `close(signature, output, got, wanted)`: whether two answers
            are the same.

    Raises:
        VerificationError: for a signature that answers such a row, or
            changes others, or fails where it should flag.
    """
    for signature, endpoint in by_signature(endpoints).items():
        inputs = endpoint.request(_ROWS, 0)
        for bad, values, at in _requests(inputs, endpoint, joint):
            one = _Asked(session, signature, bad, values, at)
            if invalid_rows == "flag":
                one.must_flag(inputs, close)
            else:
                one.must_fail()


def _requests(inputs, endpoint, joint):
    """Generates inputs with values that were not trained, these, and where
    they are."""
    dtypes = {s.name: s.dtype.as_numpy_dtype for s in endpoint.inputs}
    names = [n for n in joint.names if n in inputs]
    places = [
        (row,)
        for row in dict.fromkeys((0, len(next(iter(inputs.values()))) - 1))
    ]
    for values in _untrained(joint, names):
        changed = {n: _as(dtypes[n], v) for n, v in values.items()}
        if any(v is None for v in changed.values()):
            continue
        first = inputs[next(iter(values))]
        # A curve: the last of several values of one row.
        one = [(0, first.shape[1] - 1)] if first.ndim == 2 else []
        for at in [*places, *one]:
            bad = {**inputs}
            for name, value in changed.items():
                bad[name] = inputs[name].astype(dtypes[name])
                bad[name][at] = value
            yield bad, values, at


def _untrained(joint, names):
    """Dicts of values: not a number, beyond the ends and between trained
    values, of each parameter; all at their highest, as shares that sum to
    more than 1."""
    found = []
    for name in names:
        facts = joint.facts(name)
        low, high = facts["low"], facts["high"]
        size = high - low + 1
        ranges = sorted(facts["ranges"])
        between = [
            (a + b) / 2
            for (_, a), (b, _) in zip(ranges, ranges[1:], strict=False)
        ]
        for value in (np.nan, high + size, low - size, *between[:1]):
            found.append({name: value})
    if len(names) > 1:
        found.append({n: joint.facts(n)["high"] for n in names})
    return [values for values in found if not _trained(joint, values)]


def _trained(joint, values):
    given = {
        n: tf.constant([values.get(n, joint.defaults[n])], tf.float32)
        for n in joint.names
    }
    good = joint.trained(given)
    return all(bool(np.all(good[n])) for n in values)


def _as(dtype, value):
    """The value in a dtype, None if it has no such."""
    dtype = tf.as_dtype(dtype)
    if dtype.is_floating:
        return np.asarray(value, dtype.as_numpy_dtype)
    if not dtype.is_integer or not np.isfinite(value):
        return None
    whole = np.floor(value)
    fits = whole == value and dtype.min <= whole <= dtype.max
    return np.asarray(whole, dtype.as_numpy_dtype) if fits else None


class _Asked:
    """One signature, and what it is asked for."""

    def __init__(self, session, signature, inputs, values, at):
        self._session, self._signature = session, signature
        self._inputs, self._at = inputs, at
        asked = ", ".join(f"{n}={v:g}" for n, v in values.items())
        self._what = (
            f"{signature}: expected a row that asks for {asked}, which was "
            "not trained,"
        )

    def must_fail(self):
        try:
            self._session.run(self._signature, self._inputs)
        except tf.errors.InvalidArgumentError:
            return
        raise VerificationError(
            f"{self._what} to fail with INVALID_ARGUMENT, as a call of the "
            "model, model(x, loss_parameters), or yoto_tf.rows.RowPolicy lets "
            "it, received: an answer"
        )

    def must_flag(self, good, close):
        said = f"{self._what} to be flagged"
        before = self._session.run(self._signature, good)
        try:
            after = self._session.run(self._signature, self._inputs)
        except tf.errors.InvalidArgumentError as error:
            raise VerificationError(
                f"{said} (invalid_rows='flag'), received: {error.message}"
            ) from error
        rows = len(next(iter(good.values())))
        marked, floats = [], []
        for name in after:
            value, earlier = np.asarray(after[name]), np.asarray(before[name])
            if value.shape[:1] != (rows,):
                continue
            own = self._at if self._is_of_columns(value, good) else self._at[:1]
            at = own[:-1] + (slice(own[-1], own[-1] + 1),)
            marked.append(_is_empty(value[at]))
            if _is_real(value):
                floats.append(name)
                if not marked[-1]:
                    raise VerificationError(
                        f"{said}: NaN in {name}, as yoto_tf.rows.RowPolicy"
                        ".blank makes it, received: an answer"
                    )
            others = np.arange(rows) != self._at[0]
            if rows > 1 and not close(
                self._signature, name, value[others], earlier[others]
            ):
                raise VerificationError(
                    f"{said} alone, received: another {name} of another row"
                )
        if marked and not floats and not any(marked):
            raise VerificationError(
                f"{said}: 0, or an empty text, in one of {sorted(after)}, as "
                "yoto_tf.rows.RowPolicy.blank makes it, received: an answer"
            )

    def _is_of_columns(self, value, good):
        """Whether an output has an entry for each of several values."""
        if len(self._at) == 1:
            return True
        columns = self._at[1] + 1
        return value.ndim > 1 and value.shape[1] == columns


def _is_real(value):
    return is_float(value) and not np.iscomplexobj(value)


def _is_empty(value):
    if _is_real(value):
        return bool(np.isnan(value).all())
    return not value.astype(bool).any()
