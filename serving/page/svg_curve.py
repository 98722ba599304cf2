"""A rate-distortion curve as SVG text, with one point on it marked.

Written by hand because the page draws one for every move of the slider: a
plotting library takes longer than the model.
"""

import html
import math

import numpy as np

_WIDTH, _HEIGHT = 400, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 14, 46


def draw(rates, distortions, rate, distortion, label):
    """Draws the curve of one image and its point for one beta.

    Args:
        rates: `(k,)`, nats per image.
        distortions: `(k,)`, nats per image.
        rate: of the marked point.
        distortion: of the marked point.
        label: written beside the point.

    Returns:
        An `<svg>` element.
    """
    x = _Axis(np.append(rates, rate), _LEFT, _WIDTH - _RIGHT)
    y = _Axis(np.append(distortions, distortion), _HEIGHT - _BOTTOM, _TOP)
    line = " ".join(
        f"{x.at(r):.1f},{y.at(d):.1f}"
        for r, d in zip(rates, distortions, strict=True)
    )
    dots = "".join(
        f'<circle class="trained" cx="{x.at(r):.1f}" cy="{y.at(d):.1f}" r="2"/>'
        for r, d in zip(rates, distortions, strict=True)
    )
    px, py = x.at(rate), y.at(distortion)
    # Beside the point, on the side with more room.
    end = px > _WIDTH * 0.6
    text_x = px - 12 if end else px + 12
    return f"""<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"
 aria-label="Distortion against rate of this image, one point per beta">
{_x_axis(x)}{_y_axis(y)}
<polyline class="line" points="{line}"/>{dots}
<circle class="point" data-rate="{rate:.6g}" data-distortion="{distortion:.6g}"
 cx="{px:.1f}" cy="{py:.1f}" r="6"/>
<text class="label" x="{text_x:.1f}" y="{py - 10:.1f}"
 text-anchor="{"end" if end else "start"}">{html.escape(label)}</text>
</svg>"""


class _Axis:
    """Values to pixels, with room at both ends and round ticks."""

    def __init__(self, values, start, end):
        low, high = float(np.min(values)), float(np.max(values))
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
        return [k * step for k in range(first, last + 1)]


def _x_axis(axis):
    bottom = _HEIGHT - _BOTTOM
    marks = "".join(
        f'<line x1="{axis.at(t):.1f}" x2="{axis.at(t):.1f}" y1="{_TOP}" '
        f'y2="{bottom}"/><text x="{axis.at(t):.1f}" y="{bottom + 16}" '
        f'text-anchor="middle">{t:,.6g}</text>'
        for t in axis.ticks()
    )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        f'<g class="axis">{marks}<text x="{middle}" y="{_HEIGHT - 8}" '
        'text-anchor="middle">rate, nats per image</text></g>'
    )


def _y_axis(axis):
    marks = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{axis.at(t):.1f}" '
        f'y2="{axis.at(t):.1f}"/><text x="{_LEFT - 6}" '
        f'y="{axis.at(t) + 4:.1f}" text-anchor="end">{t:,.6g}</text>'
        for t in axis.ticks()
    )
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return (
        f'<g class="axis">{marks}<text text-anchor="middle" '
        f'transform="translate(13 {middle}) rotate(-90)">distortion, nats per '
        "image</text></g>"
    )
