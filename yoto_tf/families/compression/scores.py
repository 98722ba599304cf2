"""Bits and errors of crops over a grid of lambda."""

import numpy as np
import tensorflow as tf

from yoto_tf.compression.pixels import SMALLEST_FOR_MS_SSIM
from yoto_tf.evaluation.sweep import mean_and_error
from yoto_tf.evaluation.sweep import per_example
from yoto_tf.families.compression.config import KNOB
from yoto_tf.method import asking

# Features of a crop of 256x256 pixels take 15 MB.
_AT_A_TIME = 8


def rate_distortion(model, crops, grid, done=None):
    """Scores a model by the bits and the rounding of files.

    A model with a constant lambda answers for that, and is scored by the
    lambda of the point.

    Args:
        model: `CompressionModel`.
        crops: `(n, size, size, 3)` uint8.
        grid: list of dicts of `lmbda`.
        done: called with the number of finished points.

    Returns:
        list of dicts, a row per point: the point, means over the crops of
        `rate`, `distortion`, `psnr`, `ms_ssim` in dB (of crops that are large
        enough) and `full_loss`, and their errors.
    """
    measured = min(crops.shape[1:3]) >= SMALLEST_FOR_MS_SSIM

    @tf.function(autograph=False)
    def graph(x, values):
        values = asking.filled(values, x)
        outputs = model.run(x, values, training=False)
        terms = model.checked_terms(x, None, outputs, values)
        x, made = tf.cast(x, tf.float32), 255 * outputs["image"]
        mse = tf.reduce_mean((x - made) ** 2, (1, 2, 3))
        if measured:
            terms = {**terms, "ms_ssim": tf.image.ssim_multiscale(x, made, 255)}
        return {**terms, "mse": mse}

    def score(part, values):
        chosen = crops[part]
        return graph(tf.convert_to_tensor(getattr(chosen, "x", chosen)), values)

    joint = model.loss_parameters
    asked = [
        joint.numbers({n: point[n] for n in joint.varying}) for point in grid
    ]
    found = per_example(score, len(crops), asked, _AT_A_TIME)
    rows = []
    for point, measures in zip(grid, found, strict=True):
        terms = {n: np.asarray(t, "float64") for n, t in measures.items()}
        rate, distortion = terms["rate"], terms["distortion"]
        # Of a crop without any error the PSNR has no end.
        psnr = 10 * np.log10(255.0**2 / np.maximum(terms["mse"], 1e-3))
        similarity = {}
        if measured:
            decibels = -10 * np.log10(np.maximum(1 - terms["ms_ssim"], 1e-9))
            similarity = mean_and_error("ms_ssim", decibels)
        rows.append(
            {
                **point,
                **mean_and_error("rate", rate),
                **mean_and_error("distortion", distortion),
                **mean_and_error("psnr", psnr),
                **similarity,
                **mean_and_error("full_loss", rate + point[KNOB] * distortion),
            }
        )
        if done:
            done(len(rows))
    return rows
