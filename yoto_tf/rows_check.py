"""Whether what a session serves heeds `invalid_rows`, found by asking."""

import math

import numpy as np
import tensorflow as tf

from yoto_tf.answers import is_float
from yoto_tf.endpoint import by_signature
from yoto_tf.errors import VerificationError

_ROWS = 3
# Examples that are tried where the answers to the first are all 0 or empty.
_SEEDS = 4


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
        for seed in range(_SEEDS):
            inputs = endpoint.request(_ROWS, seed)
            one = _Signature(session, signature, inputs, close)
            for bad, values, at in _requests(inputs, endpoint, joint):
                if invalid_rows == "flag":
                    one.must_flag(bad, values, at)
                else:
                    one.must_fail(bad, values)
            if one.is_marked is not False:
                break
        else:
            one.refuse_unmarked()


def _requests(inputs, endpoint, joint):
    """Generates inputs with values that were not trained, these, and where
    they are: a list of rows, and of a curve a column and how many there are,
    or None. The first of each parameter is at all places, others at one
    each."""
    dtypes = {s.name: s.dtype for s in endpoint.inputs}
    names = [n for n in joint.names if n in inputs]
    rows = list(range(len(next(iter(inputs.values())))))
    begun = set()
    for number, values in enumerate(_untrained(joint, names)):
        changed = {n: _as(dtypes[n], v) for n, v in values.items()}
        if any(v is None for v in changed.values()):
            continue
        ends = [[row] for row in dict.fromkeys((0, rows[-1]))]
        places = [(some, None) for some in (*ends, rows)]
        first = inputs[next(iter(values))]
        if first.ndim == 2:
            # A curve: one of several values of a row.
            num = first.shape[1]
            columns = dict.fromkeys((0, num // 2, num - 1))
            places += [(some, (c, num)) for some in ends for c in columns]
        if begun >= set(values):
            places = [places[number % len(places)]]
        begun |= set(values)
        for at in places:
            some, column = at
            part = some if column is None else (some, column[0])
            bad = {**inputs}
            for name, value in changed.items():
                bad[name] = inputs[name].astype(value.dtype)
                bad[name][part] = value
            yield bad, values, at


def _untrained(joint, names):
    """Dicts of values that were not trained: no numbers, far and close beyond
    the ends, and between, whole ones among them, of each parameter; all at one
    share of the range, as shares that do not sum to 1."""
    found = []
    for name in names:
        facts = joint.facts(name)
        low, high = facts["low"], facts["high"]
        size = high - low + 1
        ranges = sorted(facts["ranges"])
        values = [np.nan, np.inf, -np.inf, high + size, low - size]
        for close in (0.01 * (high - low), 0.01 * abs(high), 0.01 * abs(low)):
            values += [high + close, low - close]
        if np.isfinite([low, high]).all():
            values += [math.floor(high) + 1, math.floor(high + size)]
            values += [math.ceil(low) - 1, math.ceil(low - size)]
        for (_, a), (b, _) in zip(ranges, ranges[1:], strict=False):
            values += [(a + b) / 2, math.floor((a + b) / 2)]
            values += [math.floor(a) + 1, math.ceil(b) - 1]
        found += [{name: value} for value in dict.fromkeys(values)]
    if len(names) > 1:
        for share in (0.0, 0.1, 1.0):
            shares = {}
            for name in names:
                facts = joint.facts(name)
                size = facts["high"] - facts["low"]
                shares[name] = facts["low"] + share * size
            found.append(shares)
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
        # Whether a row was flagged by what differs from an answer; None: it
        # was never asked for.
        self.is_marked = None

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
        with_rows = [n for n in found if found[n].shape[:1] == (self._rows,)]
        marks = [self._flagged(said, n, found[n], at) for n in with_rows]
        if any(marks):
            self.is_marked = True
        elif marks:
            self.is_marked = bool(self.is_marked)
            rows, _ = at
            if any(not _is_empty(self._before[n][rows]) for n in with_rows):
                raise VerificationError(
                    f"{said}: 0, or an empty text, in one of {with_rows}, as "
                    "yoto_tf.rows.RowPolicy.blank makes it, received: an answer"
                )

    def refuse_unmarked(self):
        raise VerificationError(
            f"{self._name}: expected an example of which some answer is not 0 "
            "or empty, so that it is seen whether rows are flagged, received: "
            "none"
        )

    def _flagged(self, said, name, value, at):
        """Checks one output; returns whether it tells flagged rows apart."""
        rows, column = at
        before = self._before[name]
        column, num = column or (None, None)
        has_columns = num is not None and value.shape[1:2] == (num,)
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
        beside = [np.delete(value[rows], column, 1)] if has_columns else []
        if beside and not all(map(_is_empty, beside)):
            # Its other values are answered, or emptied with it.
            expected = before.copy()
            expected[part] = value[part]
            others, before = np.arange(self._rows), expected
        if len(others) and not self._close(
            self._name, name, value[others], before[others]
        ):
            raise VerificationError(
                f"{said} alone, received: another {name} of another row"
                + " or value" * has_columns
            )
        return empty and not _is_empty(self._before[name][part])

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
