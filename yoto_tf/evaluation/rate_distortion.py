"""The rate-distortion curve of one model, over a fixed grid of betas."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError

# Burda et al., Importance Weighted Autoencoders, ICLR 2016, section 5.2.
_ACTIVE_VARIANCE = 0.01


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """Scores of a model at one beta, means over the images.

    Attributes:
        beta: the loss weight, the same in network and loss.
        distortion, rate, full_loss: nats per image; full_loss is
            distortion + beta * rate.
        *_se: standard errors of these means over the images.
        *_bpd: the same in bits per dimension, nats / (values * log 2).
        active_units: latents whose posterior mean varies by more than 0.01
            over the images (Burda et al., 2016).
    """

    beta: float
    distortion: float
    distortion_se: float
    rate: float
    rate_se: float
    full_loss: float
    full_loss_se: float
    distortion_bpd: float
    rate_bpd: float
    full_loss_bpd: float
    active_units: int


def rate_distortion_curve(
    model, images, betas, batch_size=500, seed=0, progress=None
):
    """Scores a `ConditionalVAE` at every beta.

    One sample of the posterior per image; its noise depends on `seed` and
    the image's place alone, so that all betas see the same noise.

    Args:
        model: the model.
        images: `(n, size, size, channels)` uint8, n at least 2.
        betas: numbers above 0. Betas outside the trained range are scored
            too; the network then extrapolates.
        batch_size: images at a time.
        seed: of the noise.
        progress: called with the number of finished betas.

    Returns:
        list of `CurvePoint`, in the order of `betas`.
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
    points = []
    for done, beta in enumerate(betas, 1):
        parts = []
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            outputs = scored(
                tf.convert_to_tensor(images[rows]),
                tf.convert_to_tensor(noise[rows]),
                tf.constant(float(beta)),
            )
            parts.append([t.numpy() for t in outputs])
        distortion, rate, mean = map(np.concatenate, zip(*parts, strict=True))
        points.append(
            _point(beta, distortion, rate, mean, math.prod(images.shape[1:]))
        )
        if progress:
            progress(done)
    return points


def _scorer(model):
    @tf.function(reduce_retracing=True)
    def scored(images, noise, beta):
        # Not a call, which refuses betas outside the trained range.
        betas = tf.fill((tf.shape(images)[0],), beta)
        outputs = model.run(images, {"beta": betas}, noise=noise)
        return outputs["distortion"], outputs["rate"], outputs["mean"]

    return scored


def _point(beta, distortion, rate, mean, num_values):
    # float64: a float32 sum of 10,000 losses loses the third digit of an
    # error bar.
    distortion, rate = distortion.astype("float64"), rate.astype("float64")
    full = distortion + beta * rate
    numbers = {}
    for name, values in (
        ("distortion", distortion),
        ("rate", rate),
        ("full_loss", full),
    ):
        numbers[name] = float(values.mean())
        numbers[f"{name}_se"] = float(
            values.std(ddof=1) / math.sqrt(len(values))
        )
        numbers[f"{name}_bpd"] = numbers[name] / (num_values * math.log(2))
    active = int((mean.var(axis=0) > _ACTIVE_VARIANCE).sum())
    return CurvePoint(beta=float(beta), active_units=active, **numbers)
