"""What the page's plots share: axes as SVG text.

Written by hand because the page draws one for every move of a slider: a
plotting library takes longer than the model.
"""

import html
import math

import numpy as np

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 46


class Axis:
    """Values to pixels, with room at both ends and round ticks.

    Args:
        values: all that have to be on it.
        start, end: pixels.
    """

    def __init__(self, values, start, end):
        values = np.asarray(values, float)
        values = values[np.isfinite(values)]
        values = values if values.size else np.zeros(1)
        low, high = float(values.min()), float(values.max())
        room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
        self._low, self._high = low - room, high + room
        self._start, self._end = start, end

    def at(self, value):
        share = (value - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self):
        rough = (self._high - self._low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = math.ceil(self._low / step)
        last = math.floor(self._high / step)
        # Not 0.30000000000000004.
        return [float(f"{k * step:.10g}") for k in range(first, last + 1)]


def horizontal(marks, title, height):
    """The lower axis.

    Args:
        marks: list of (pixel, label).
        title: below it.
        height: of the plot.
    """
    bottom = height - BOTTOM
    lines = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
        f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">'
        f"{html.escape(label)}</text>"
        for x, label in marks
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<g class="axis">{lines}<text x="{middle}" y="{height - 8}" '
        f'text-anchor="middle">{html.escape(title)}</text></g>'
    )


def vertical(axis, title, height):
    """The left axis, of an `Axis`."""
    lines = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{axis.at(t):.1f}" '
        f'y2="{axis.at(t):.1f}"/><text x="{LEFT - 6}" '
        f'y="{axis.at(t) + 4:.1f}" text-anchor="end">{t:,.6g}</text>'
        for t in axis.ticks()
    )
    middle = (TOP + height - BOTTOM) / 2
    return (
        f'<g class="axis">{lines}<text text-anchor="middle" '
        f'transform="translate(13 {middle}) rotate(-90)">'
        f"{html.escape(_shortened(title))}</text></g>"
    )


def _shortened(title):
    """As much of it as stands beside an axis of the usual height."""
    return title if len(title) <= 32 else f"{title[:31].rstrip()}…"


def label_beside(text, x, y):
    """A text beside a point, on the side with more room."""
    end = x > WIDTH * 0.6
    return (
        f'<text class="label" x="{x - 12 if end else x + 12:.1f}" '
        f'y="{y - 10:.1f}" text-anchor="{"end" if end else "start"}">'
        f"{html.escape(text)}</text>"
    )
