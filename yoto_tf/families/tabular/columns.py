"""Columns of a table as numbers. Imports no TensorFlow."""

import contextlib
import datetime

import numpy as np

from yoto_tf.errors import InputError
from yoto_tf.families.fields import Field

# A column with more texts is a name or a number of a row.
_MOST_TEXTS = 50
# A column with more of which most are numbers is one of numbers.
_MOST_NUMBERS = 10
# Of a column's range, that float32 may round off.
_LARGEST_ROUNDING = 1e-4
# Of a target's deviation: a loss in its unit has gradients of its size, and
# those below 1e-8 teach Adam nothing; squares of 1e19 are no float32.
_DEVIATIONS = (1e-4, 1e15)


def encoded(name, column):
    """`(Field, list of (n,))`."""
    texts = column.dtype.kind not in "iufb"
    values = column.astype(str) if texts else column
    found = sorted(values.unique())
    if texts:
        check_blanks(name, found)
    if len(found) < 2:
        raise InputError(
            f"expected a column with two values or more, received: {name!r}, "
            f"which is {found[0] if found else 'empty'} in every row; name it "
            "in --data.leave-out"
        )
    if not texts:
        numbers = column.to_numpy("float64")
        check_rounding(f"the column {name!r}", numbers)
        return Field(name), [numbers]
    # One "?" makes a column of numbers one of texts.
    strange = [text for text in found if not _is_number(text)]
    shown = f", as {strange[0]!r}" if strange else ""
    if len(found) > _MOST_NUMBERS and len(strange) < len(found) / 2:
        raise InputError(
            f"expected a column of numbers or of texts, received: {name!r} "
            f"with {len(found)} texts of which most are numbers{shown}; leave "
            "those that are no numbers empty, name it in --data.leave-out, "
            "or put a letter before all of them"
        )
    written = [text for text in strange if _is_written_number(text)]
    if len(found) > _MOST_NUMBERS and len(written) > len(found) / 2:
        raise InputError(
            f"expected numbers as 1007, 0.37, or the days since a date, "
            f"received: {name!r} with {len(found)} texts, as {written[0]!r}"
        )
    if len(found) > _MOST_TEXTS:
        raise InputError(
            f"expected columns with {_MOST_TEXTS} different texts at most, "
            f"received: {name!r} with {len(found)}{shown}; name it in "
            "--data.leave-out, or group them"
        )
    shown = found[1:] if len(found) == 2 else found
    return Field(name, tuple(found)), [
        (values == text).to_numpy("float64") for text in shown
    ]


def check_blanks(name, texts):
    """Refuses texts that a reader would take for one."""
    seen = {}
    for text in texts:
        other = seen.setdefault(text.strip(), text)
        if other != text:
            raise InputError(
                "expected texts that differ by more than blanks at their "
                f"ends, received: {name!r} with {other!r} and {text!r}"
            )


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_written_number(text):
    """Whether it is one to its reader: 1,007, 37 %, $5 or 2024-05-31."""
    with contextlib.suppress(ValueError):
        return bool(datetime.date.fromisoformat(text.strip()[:10]))
    return _is_number(text.strip("$€£% ").replace(",", ""))


def check_deviation(name, numbers):
    """Refuses a target of which a model could not learn in its unit."""
    deviation = numbers.std()
    least, most = _DEVIATIONS
    if deviation and not least <= deviation <= most:
        raise InputError(
            f"expected a target with a standard deviation of {least:g} to "
            f"{most:g}, received: {name!r} with {deviation:.2g}; another unit "
            "helps, as thousandths"
        )


def check_rounding(what, numbers, spread=None):
    """Refuses what would be one to a network: it computes in float32, and so
    do its clients."""
    with np.errstate(over="ignore"):
        error = np.abs(numbers - numbers.astype("float32")).max()
        width = np.ptp(numbers)
    spread = width if spread is None else spread
    if width and not (
        np.isfinite(error) and error <= _LARGEST_ROUNDING * spread
    ):
        raise InputError(
            f"expected numbers in {what} that float32 tells apart, received: "
            f"{numbers.min()!s} to {numbers.max()!s}, of which it rounds off "
            f"up to {error:.2g}; another zero or unit helps, as the days since "
            "the first"
        )
