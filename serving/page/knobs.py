"""Loss parameters as knobs of a page: grids, ticks, rounding.

A knob is a `serving.client.LossParameter`, a point a dict from the names of
all knobs to numbers.
"""

import html
import math

import numpy as np

CURVE_POINTS = 33
STRIP_POINTS = 9
# Of a share, whose ends are no trained values.
_SHARE_ENDS = 0.02, 0.98


def choices(knob):
    """The values of a knob that has a few single ones; None: it has more."""
    if any(low != high for low, high in knob.ranges):
        return None
    return [low for low, _ in knob.ranges]


def ends(knob):
    """Lowest and highest value of its slider."""
    if knob.scale == "simplex":
        return _SHARE_ENDS
    return knob.low, knob.high


def grid(knob, num=CURVE_POINTS):
    """`num` trained values over the range, ends included, equally far apart
    on the knob's scale; of single values these. float64 `(num,)`."""
    low, high = ends(knob)
    single = choices(knob)
    if single:
        return np.array(single)
    spread = np.geomspace if knob.scale == "log" else np.linspace
    values = spread(low, high, num)
    # The ends exactly: a rounded one could lie outside the trained range.
    values[0], values[-1] = low, high
    return values[knob.contains(values)]


def strip_indices(num):
    """Which of `num` points of a curve the strip shows, ends included."""
    spread = np.linspace(0, num - 1, min(num, STRIP_POINTS))
    return spread.round().astype(int)


def clamped(knob, value):
    """`value` with three significant digits, moved to the nearest that was
    trained."""
    value = float(f"{value:.3g}")
    if knob.scale == "simplex":
        low, high = ends(knob)
        return min(max(value, low), high)
    nearest = [min(max(value, low), high) for low, high in knob.ranges]
    return min(nearest, key=lambda near: abs(near - value))


def kept(knobs, point=None):
    """A point of these knobs: as far as it can be, the one before; else the
    defaults."""
    values = {k.name: (point or {}).get(k.name, k.default) for k in knobs}
    found = {k.name: clamped(k, values[k.name]) for k in knobs}
    shares = [k for k in knobs if k.scale == "simplex"]
    if shares:
        first = shares[0].name
        return moved(knobs, found, first, found[first])
    return found


def moved(knobs, point, name, value):
    """The point after a knob was turned: of shares, the others make room.

    Args:
        knobs: all of them.
        point: before.
        name: of the knob that was turned.
        value: its new value, or an array of several.
    """
    shares = [k.name for k in knobs if k.scale == "simplex"]
    point = {**point, name: value}
    if name in shares:
        others = [n for n in shares if n != name]
        total = sum(point[n] for n in others)
        rest = (1 - np.asarray(value)) / total
        for other in others:
            share = point[other] * rest
            point[other] = share if np.ndim(share) else float(share)
    return point


def text(value):
    """A value as people read it: `0.5`, `22.6`, `512`."""
    return f"{float(f'{value:.3g}'):,.10g}"


def share(knob, value):
    """How far along its slider a value stands, from 0 to 1."""
    single = choices(knob)
    if single:
        nearest = int(np.argmin(np.abs(np.array(single) - value)))
        return nearest / max(len(single) - 1, 1)
    low, high = ends(knob)
    if knob.scale == "log":
        low, high, value = map(math.log, (low, high, value))
    return (value - low) / (high - low)


def ticks(knob):
    """Marks of a slider.

    Returns:
        list of dicts: `percent` of the way along it, and `label`, which is
        empty for the marks between.
    """
    low, high = ends(knob)
    if low == high:
        return [{"percent": 50.0, "label": text(low)}]
    single = choices(knob)
    if single:
        marks = {v: text(v) for v in single}
    elif knob.scale == "log":
        marks = _log_marks(low, high)
    else:
        marks = {v: text(v) for v in np.linspace(low, high, 5)}
    placed = {100 * share(knob, v): label for v, label in marks.items()}
    for percent in placed:
        # No label so close to an end's that they would touch.
        if 0 < percent < 6 or 94 < percent < 100:
            placed[percent] = ""
    return [
        {"percent": round(p, 3), "label": placed[p]} for p in sorted(placed)
    ]


def _log_marks(low, high):
    marks = {}
    first = math.floor(math.log10(low))
    last = math.ceil(math.log10(high))
    for decade in range(first, last + 1):
        for digit in range(1, 10):
            value = digit * 10.0**decade
            if low < value < high:
                marks[value] = text(value) if digit == 1 else ""
    return {**marks, low: text(low), high: text(high)}


def sliders(knobs, point):
    """What the control of the sliders is given.

    Returns:
        dict: `knobs`, a list of dicts, and `moved`, the place of the one that
        was turned last, -1 for none.
    """
    return {
        "moved": -1,
        "knobs": [
            {
                "name": k.name,
                # As HTML, which the name is not.
                "label": html.escape(k.name),
                "caption": html.escape(k.description),
                "scale": k.scale,
                "choices": choices(k),
                "low": ends(k)[0],
                "high": ends(k)[1],
                "value": point[k.name],
                "ticks": ticks(k),
            }
            for k in knobs
        ],
    }
