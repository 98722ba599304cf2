"""The rate-distortion curve of one model, over a fixed grid."""

import math

import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.evaluation.sweep import mean_and_error
from yoto_tf.evaluation.sweep import per_example
from yoto_tf.method import asking
from yoto_tf.points import term_column

# Burda et al., Importance Weighted Autoencoders, ICLR 2016, section 5.2.
_ACTIVE_VARIANCE = 0.01


def rate_distortion_curve(
    model, images, grid, batch_size=500, seed=0, done=None
):
    """Scores a `ConditionalVAE` at every point.

    One sample of the posterior per image; its noise depends on `seed` and
    the image's place alone, so that all points see the same noise. Losses
    are nats per image, `NAME_se` the standard errors of their means over the
    images, `NAME_bpd` bits per dimension, nats / (values * log 2).

    Args:
        model: the model.
        images: `(n, size, size, channels)` uint8, n at least 2.
        grid: list of dicts, as `{"beta": 4.0}`. Values outside the trained
            range are scored too; the network then extrapolates.
        batch_size: images at a time.
        seed: of the noise.
        done: called with the number of finished points.

    Returns:
        list of dicts, in the order of `grid`: the point, every loss term,
        `full_loss` (distortion + beta * rate, with further weighted terms),
        and `active_units`, latents whose posterior mean varies by more than
        0.01 over the images (Burda et al., 2016).
    """
    if len(images) < 2:
        raise InputError(
            f"expected two or more images to score, received: {len(images)}"
        )
    scored = _scorer(model)
    # All of it at once: drawn by batches it would depend on their size.
    noise = np.random.default_rng(seed).standard_normal(
        (len(images), model.model_config.latent_size), dtype="float32"
    )
    scale = 1 / (math.prod(images.shape[1:]) * math.log(2))

    def score(part, values):
        return scored(
            tf.convert_to_tensor(images[part]),
            tf.convert_to_tensor(noise[part]),
            values,
        )

    rows = []
    for point, scores in zip(
        grid, per_example(score, len(images), grid, batch_size), strict=True
    ):
        mean = scores.pop("mean")
        row = {n: float(v) for n, v in point.items()}
        weights = {n: model.weight_names.get(n, n) for n in scores}
        full = sum(
            term.astype("float64") * row.get(weights[n], 1.0)
            for n, term in scores.items()
        )
        columns = {term_column(n, point): t for n, t in scores.items()}
        columns["full_loss"] = full
        for name, values in columns.items():
            row |= mean_and_error(name, values)
        for name in columns:
            row[f"{name}_bpd"] = row[name] * scale
        active = mean.var(axis=0) > _ACTIVE_VARIANCE
        rows.append({**row, "active_units": int(active.sum())})
        if done:
            done(len(rows))
    return rows


def _scorer(model):
    @tf.function(reduce_retracing=True)
    def scored(images, noise, values):
        # Not a call, which refuses values outside the trained range.
        values = asking.filled(values, images)
        outputs = model.run(images, values, noise=noise)
        terms = model.checked_terms(images, None, outputs, values)
        return {**terms, "mean": outputs["mean"]}

    return scored
