"""A trade-off as SVG text: one number against another, one point marked."""

import html

import numpy as np

from serving.page import svg_axes
from serving.page.svg_axes import BOTTOM
from serving.page.svg_axes import LEFT
from serving.page.svg_axes import RIGHT
from serving.page.svg_axes import TOP
from serving.page.svg_axes import WIDTH

_HEIGHT = 300


def draw(xs, ys, point, titles, label):
    """Draws the curve of one example, and the point of today.

    Args:
        xs, ys: `(k,)`.
        point: the two numbers of the marked point.
        titles: of the two axes.
        label: written beside the point.

    Returns:
        An `<svg>` element.
    """
    x = svg_axes.Axis(np.append(xs, point[0]), LEFT, WIDTH - RIGHT)
    y = svg_axes.Axis(np.append(ys, point[1]), _HEIGHT - BOTTOM, TOP)
    places = [(x.at(a), y.at(b)) for a, b in zip(xs, ys, strict=True)]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dots = "".join(
        f'<circle class="trained" cx="{a:.1f}" cy="{b:.1f}" r="2"/>'
        for a, b in places
    )
    px, py = x.at(point[0]), y.at(point[1])
    marks = [(x.at(t), f"{t:,.6g}") for t in x.ticks()]
    said = html.escape(f"{titles[1]} against {titles[0]}")
    return f"""<svg class="curve" viewBox="0 0 {WIDTH} {_HEIGHT}" role="img"
 aria-label="{said}">
{svg_axes.horizontal(marks, titles[0], _HEIGHT)}
{svg_axes.vertical(y, titles[1], _HEIGHT)}
<polyline class="line" points="{line}"/>{dots}
<circle class="point" data-x="{point[0]:.6g}" data-y="{point[1]:.6g}"
 cx="{px:.1f}" cy="{py:.1f}" r="6"/>
{svg_axes.label_beside(label, px, py)}
</svg>"""
