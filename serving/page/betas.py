"""Betas on a logarithmic axis: the grid of a curve, ticks, rounding."""

import math

import numpy as np

CURVE_POINTS = 33
STRIP_POINTS = 9


def grid(low, high, num=CURVE_POINTS):
    """`num` betas from `low` to `high`, equally far apart in log(beta);
    one where the two are the same. float64 `(num,)`."""
    if low == high:
        return np.array([low])
    betas = np.geomspace(low, high, num)
    # The ends exactly: a rounded one could lie outside the trained range.
    betas[0], betas[-1] = low, high
    return betas


def strip_indices(num):
    """Which of `num` points of a curve the strip shows, ends included."""
    spread = np.linspace(0, num - 1, min(num, STRIP_POINTS))
    return spread.round().astype(int)


def middle(low, high):
    """The beta half way between two on a logarithmic axis."""
    return clamped(math.sqrt(low * high), low, high)


def clamped(beta, low, high):
    """`beta` with three significant digits, moved into the range."""
    return min(max(float(f"{beta:.3g}"), low), high)


def text(beta):
    """A beta as people read it: `0.5`, `22.6`, `512`."""
    return f"{float(f'{beta:.3g}'):,.10g}"


def ticks(low, high):
    """Marks of a logarithmic axis.

    Returns:
        A list of dicts: `percent` of the way from `low` to `high`, and
        `label`, which is empty for the marks between the decades.
    """
    if low == high:
        return [{"percent": 50.0, "label": text(low)}]
    width = math.log(high / low)

    def at(beta):
        return 100 * math.log(beta / low) / width

    marks = {0.0: text(low), 100.0: text(high)}
    first = math.floor(math.log10(low))
    last = math.ceil(math.log10(high))
    for decade in range(first, last + 1):
        for digit in range(1, 10):
            beta = digit * 10.0**decade
            if low < beta < high:
                # No label so close to an end's that they would touch.
                free = digit == 1 and 6 < at(beta) < 94
                marks[at(beta)] = text(beta) if free else ""
    return [{"percent": round(p, 3), "label": marks[p]} for p in sorted(marks)]
