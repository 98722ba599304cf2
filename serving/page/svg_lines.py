"""Numbers over a knob as SVG text: a line each, today's value marked."""

import html

import numpy as np

from serving.page import knobs
from serving.page import svg_axes
from serving.page.svg_axes import BOTTOM
from serving.page.svg_axes import LEFT
from serving.page.svg_axes import RIGHT
from serving.page.svg_axes import TOP
from serving.page.svg_axes import WIDTH

_HEIGHT = 230
_COLOURS = 6


def draw(knob, values, lines, today, title):
    """Draws one output over the range of a knob.

    Args:
        knob: the `LossParameter`.
        values: `(k,)`, of the knob.
        lines: dict, label -> `(k,)` numbers; an empty label is not written.
        today: `(value of the knob, dict: label -> number)`.
        title: of the vertical axis.

    Returns:
        An `<svg>` element.
    """
    value, numbers = today
    room = 6

    def across(v):
        width = WIDTH - RIGHT - LEFT - 2 * room
        return LEFT + room + width * knobs.share(knob, v)

    y = svg_axes.Axis(
        np.concatenate([*lines.values(), list(numbers.values())]),
        _HEIGHT - BOTTOM,
        TOP,
    )
    marks = [
        (LEFT + room + (WIDTH - RIGHT - LEFT - 2 * room) * t["percent"] / 100,
         t["label"])
        for t in knobs.ticks(knob)
        if t["label"]
    ]  # fmt: skip
    drawn = []
    for i, (label, ys) in enumerate(lines.items()):
        places = " ".join(
            f"{across(v):.1f},{y.at(n):.1f}"
            for v, n in zip(values, ys, strict=True)
            if np.isfinite(n)
        )
        number, colour = numbers[label], f"colour{i % _COLOURS}"
        px, py = across(value), y.at(number)
        drawn.append(
            f'<polyline class="line {colour}" points="{places}"/>'
            f'<circle class="point {colour}" data-x="{value:.6g}" '
            f'data-y="{number:.6g}" cx="{px:.1f}" cy="{py:.1f}" r="5"/>'
            + (svg_axes.label_beside(label, px, py) if label else "")
        )
    said = html.escape(f"{title} over {knob.name}")
    return f"""<svg class="curve lines" viewBox="0 0 {WIDTH} {_HEIGHT}"
 role="img" aria-label="{said}">
{svg_axes.horizontal(marks, knob.name, _HEIGHT)}
{svg_axes.vertical(y, title, _HEIGHT)}
<line class="today" x1="{across(value):.1f}" x2="{across(value):.1f}"
 y1="{TOP}" y2="{_HEIGHT - BOTTOM}"/>
{"".join(drawn)}
</svg>"""
