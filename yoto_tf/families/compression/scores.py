"""Bits and errors of crops over a grid of lambda."""

import numpy as np
import tensorflow as tf

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
        `rate`, `distortion`, `psnr` and `full_loss`, and their errors.
    """

    @tf.function(autograph=False)
    def graph(x, values):
        values = asking.filled(values, x)
        outputs = model.run(x, values, training=False)
        return model.checked_terms(x, None, outputs, values)

    def score(part, values):
        return graph(tf.convert_to_tensor(crops[part]), values)

    joint = model.loss_parameters
    asked = [
        joint.numbers({n: point[n] for n in joint.varying}) for point in grid
    ]
    found = per_example(score, len(crops), asked, _AT_A_TIME)
    rows = []
    for point, terms in zip(grid, found, strict=True):
        rate, distortion = (
            np.asarray(terms[name], "float64")
            for name in ("rate", "distortion")
        )
        # Of a crop without any error the PSNR has no end.
        psnr = 10 * np.log10(255.0**2 / np.maximum(distortion, 1e-3))
        rows.append(
            {
                **point,
                **mean_and_error("rate", rate),
                **mean_and_error("distortion", distortion),
                **mean_and_error("psnr", psnr),
                **mean_and_error("full_loss", rate + point[KNOB] * distortion),
            }
        )
        if done:
            done(len(rows))
    return rows
