"""Rate-distortion curves of codecs: what lies between them, and a figure."""

import dataclasses
import math

import numpy as np

from training.drawing import Figure
from training.drawing import own_style
from yoto_tf import extras


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One picture, written by one codec at one setting, and read again.

    Attributes:
        codec, picture, setting: which.
        bytes: of the file.
        bits_per_pixel: of the file.
        psnr: in dB.
        ms_ssim: at most 1.
    """

    codec: str
    picture: str
    setting: float
    bytes: int
    bits_per_pixel: float
    psnr: float
    ms_ssim: float

    @property
    def ms_ssim_db(self):
        """-10 log10(1 - MS-SSIM), in dB."""
        return -10 * math.log10(max(1 - self.ms_ssim, 1e-9))


def read_table(rows):
    """`pandas.DataFrame` of `Comparison`s."""
    import pandas as pd

    return pd.DataFrame([dataclasses.asdict(r) for r in rows]).round(6)


def bd_rates(rows, ours="ours"):
    """How many more bits one codec takes than others for the same quality
    (Bjontegaard, VCEG-M33, 2001; by the package of that name, "pchip").

    Args:
        rows: list of `Comparison`.
        ours: the codec that is compared with each of the others.

    Returns:
        dict, (other, "psnr" or "ms_ssim_db") -> list of percents, one per
        picture; below 0 ours takes fewer. Not a number where the curves have
        no quality in common.
    """
    extras.require("compression", "bjontegaard")
    import bjontegaard

    curves = {}
    for measure in ("psnr", "ms_ssim_db"):
        for row in rows:
            curve = curves.setdefault((row.codec, row.picture, measure), [])
            curve.append((getattr(row, measure), row.bits_per_pixel))
    found = {}
    for (codec, picture, measure), curve in curves.items():
        if codec == ours:
            continue
        one, other = _rising(curves[ours, picture, measure]), _rising(curve)
        percent, shared = math.nan, 0
        if min(len(one), len(other)) > 1:
            first = max(one[0, 0], other[0, 0])
            shared = min(one[-1, 0], other[-1, 0]) - first
        if shared > 0:
            percent = bjontegaard.bd_rate(
                *(other[:, 1], other[:, 0], one[:, 1], one[:, 0]),
                method="pchip",
                require_matching_points=False,
                min_overlap=0,
            )
        found.setdefault((codec, measure), []).append(float(percent))
    return found


def _rising(curve):
    """Points sorted by quality, without those that cost more bits than a
    better one: `(n, 2)`."""
    kept = []
    # A picture that is read as it was has no PSNR.
    known = [point for point in curve if math.isfinite(point[0])]
    for quality, bits in sorted(known, reverse=True):
        if not kept or (bits < kept[-1][1] and quality < kept[-1][0]):
            kept.append((quality, bits))
    return np.array(kept[::-1])


def table(found, num_pictures):
    """A Markdown table of `bd_rates`: means and deviations over pictures."""
    lines = [
        f"BD-rate over {num_pictures} pictures, mean ± standard deviation over "
        "them; below 0 the model's files are smaller for the same quality.",
        "",
        "| against | PSNR | MS-SSIM |",
        "| --- | ---: | ---: |",
    ]
    for codec in dict.fromkeys(codec for codec, _ in found):
        cells = [
            _percent(found[codec, measure])
            for measure in ("psnr", "ms_ssim_db")
        ]
        lines.append(f"| {codec} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _percent(values):
    values = np.array(values)
    known = values[np.isfinite(values)]
    if not len(known):
        return "no quality in common"
    text = f"{known.mean():+.1f} % ± {known.std(ddof=len(known) > 1):.1f}"
    if len(known) < len(values):
        text += f" ({len(known)} pictures)"
    return text


@own_style
def codec_figure(rows):
    """Quality against bits per pixel, means over pictures at each setting."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (measure, label) in zip(
        figure.subplots(1, 2),
        (("psnr", "PSNR (dB)"), ("ms_ssim_db", "MS-SSIM (dB)")),
        strict=True,
    ):
        for codec in dict.fromkeys(r.codec for r in rows):
            points = {}
            for row in rows:
                if row.codec == codec:
                    points.setdefault(row.setting, []).append(
                        (row.bits_per_pixel, getattr(row, measure))
                    )
            means = np.array([np.mean(p, axis=0) for p in points.values()])
            means = means[np.argsort(means[:, 0])]
            ours = codec == "ours"
            axes.plot(
                *means.T,
                label=codec,
                marker="o",
                markersize=3,
                linewidth=1.8 if ours else 1.0,
                zorder=3 if ours else 2,
            )
        axes.set_xscale("log")
        axes.set_xlabel("bits per pixel of the file")
        axes.set_ylabel(label)
        axes.grid(True, which="both", alpha=0.3, linewidth=0.4)
    figure.axes[0].legend(fontsize=8)
    return figure
