"""Whether what a session serves heeds `invalid_rows`, found by asking."""

import math

import numpy as np
import tensorflow as tf

from yoto_tf.answers import is_float
from yoto_tf.endpoint import by_signature
from yoto_tf.errors import VerificationError

_ROWS = 3


def check(session, endpoints, joint, invalid_rows, close):
    """Asks every signature for values that were never trained: in the first
    row, in the last one and in all, and of several in a row for one alone.

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
        one = _Signature(session, signature, inputs, close)
        for bad, values, at in _requests(inputs, endpoint, joint):
            if invalid_rows == "flag":
                one.must_flag(bad, values, at)
            else:
                one.must_fail(bad, values)
        one.check_marks()


def _requests(inputs, endpoint, joint):
    """Generates inputs with values that were not trained, these, and where
    they are: a list of rows, and a column or None."""
    dtypes = {s.name: s.dtype for s in endpoint.inputs}
    names = [n for n in joint.names if n in inputs]
    rows = list(range(len(next(iter(inputs.values())))))
    for values in _untrained(joint, names):
        changed = {n: _as(dtypes[n], v) for n, v in values.items()}
        if any(v is None for v in changed.values()):
            continue
        ends = [[row] for row in dict.fromkeys((0, rows[-1]))]
        places = [(some, None) for some in (*ends, rows)]
        first = inputs[next(iter(values))]
        if first.ndim == 2:
            # A curve: the last of several values of a row.
            places += [(some, first.shape[1] - 1) for some in ends]
        for at in places:
            some, column = at
            bad = {**inputs}
            for name, value in changed.items():
                bad[name] = inputs[name].astype(value.dtype)
                bad[name][some if column is None else (some, column)] = value
            yield bad, values, at


def _untrained(joint, names):
    """Dicts of values that were not trained: not a number, far and close
    beyond the ends, and between, of each parameter; all at one end, as shares
    that do not sum to 1."""
    found = []
    for name in names:
        facts = joint.facts(name)
        low, high = facts["low"], facts["high"]
        size = high - low + 1
        ranges = sorted(facts["ranges"])
        values = [np.nan, high + size, low - size]
        values += [high + 0.01 * abs(high), low - 0.01 * abs(low)]
        for (_, a), (b, _) in zip(ranges, ranges[1:], strict=False):
            values += [(a + b) / 2, math.floor((a + b) / 2)]
        found += [{name: value} for value in dict.fromkeys(values)]
    if len(names) > 1:
        for end in ("low", "high"):
            found.append({n: joint.facts(n)[end] for n in names})
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
    if dtype.is_floating:
        return np.asarray(value, dtype.as_numpy_dtype)
    if not dtype.is_integer or not np.isfinite(value):
        return None
    fits = value == math.floor(value) and dtype.min <= value <= dtype.max
    return np.asarray(value, dtype.as_numpy_dtype) if fits else None


class _Signature:
    """One signature, question after question."""

    def __init__(self, session, name, inputs, close):
        self._session, self._name, self._close = session, name, close
        self._inputs = inputs
        self._rows = len(next(iter(inputs.values())))
        self._before = None
        # Whether a row was flagged by what differs from an answer.
        self._is_marked = None

    def must_fail(self, bad, values):
        try:
            self._session.run(self._name, bad)
        except tf.errors.InvalidArgumentError:
            return
        raise VerificationError(
            f"{self._said(values)} to fail with INVALID_ARGUMENT, as a call "
            "of the model, model(x, loss_parameters), or "
            "yoto_tf.rows.RowPolicy lets it, received: an answer"
        )

    def must_flag(self, bad, values, at):
        said = f"{self._said(values)} to be flagged"
        if self._before is None:
            self._before = self._run(self._inputs)
        try:
            found = self._run(bad)
        except tf.errors.InvalidArgumentError as error:
            raise VerificationError(
                f"{said} (invalid_rows='flag'), received: {error.message}"
            ) from error
        marks = [
            self._flagged(said, name, found[name], at)
            for name in found
            if found[name].shape[:1] == (self._rows,)
        ]
        if marks:
            self._is_marked = self._is_marked or any(marks)

    def check_marks(self):
        if self._is_marked is False:
            raise VerificationError(
                f"{self._name}: expected rows that ask for what was not "
                "trained to be flagged: an output that is NaN for them, or 0 "
                "or an empty text where the example's is not, as "
                "yoto_tf.rows.RowPolicy.blank makes it, received: none"
            )

    def _flagged(self, said, name, value, at):
        """Checks one output; returns whether it tells flagged rows apart."""
        rows, column = at
        before = self._before[name]
        has_columns = column is not None and value.shape[1:2] == (column + 1,)
        part = (rows, slice(column, column + 1)) if has_columns else (rows,)
        is_number = is_float(value) and not np.iscomplexobj(value)
        empty = _is_empty(value[part])
        if (is_number or name == "in_range") and not empty:
            what = "NaN" if is_number else "False"
            raise VerificationError(
                f"{said}: {what} in {name}, as yoto_tf.rows.RowPolicy"
                ".blank makes it, received: an answer"
            )
        others = np.setdiff1d(np.arange(self._rows), rows)
        pairs = [(value[others], before[others])] if len(others) else []
        if has_columns and column:
            pairs.append((value[rows, :column], before[rows, :column]))
        for got, wanted in pairs:
            if not self._close(self._name, name, got, wanted):
                raise VerificationError(
                    f"{said} alone, received: another {name} of another row"
                    + " or value" * has_columns
                )
        return empty and not _is_empty(before[part])

    def _run(self, inputs):
        found = self._session.run(self._name, inputs)
        return {n: np.asarray(v) for n, v in found.items()}

    def _said(self, values):
        asked = ", ".join(f"{n}={v:g}" for n, v in values.items())
        return (
            f"{self._name}: expected a row that asks for {asked}, which was "
            "not trained,"
        )


def _is_empty(value):
    if is_float(value) and not np.iscomplexobj(value):
        return bool(np.isnan(value).all())
    return not value.astype(bool).any()
