"""-log p(x) by importance sampling."""

import numpy as np

from yoto_tf.errors import InputError
from yoto_tf.families.vae.metrics.information import log_mean_exp

_DECODED_AT_ONCE = 200


def importance_nll(decode, images, mean, stddev, samples=100, seed=0):
    """-log p(x) of each image, by samples of its posterior.

        -log 1/k sum_s p(x|z_s) p(z_s) / q(z_s|x),  z_s ~ q(z|x)

    (Burda et al., Importance Weighted Autoencoders, ICLR 2016.) On average
    above the true one; it falls as k grows and with k = 1 it is the ELBO's.

    Args:
        decode: `decode(images, latents)`: -log p(x|z) in nats, `(m,)`, of m
            pairs.
        images: `(n, ...)`.
        mean, stddev: of their posteriors, `(n, d)`.
        samples: k.
        seed: of the samples; those of an image depend on it and the image's
            place alone, so that all betas see the same noise.

    Returns:
        `(nll, elbo_nll)`, nats, `(n,)` float64 each: the estimate, and the
        mean over the same samples of what the ELBO bounds it by.
    """
    if samples < 1:
        raise InputError(
            f"expected samples above 0, received: samples={samples}"
        )
    logs = np.empty((len(images), samples))
    for i in range(len(images)):
        rng = np.random.default_rng([seed, i])
        noise = rng.standard_normal((samples, mean.shape[1]))
        latents = mean[i].astype("float64") + stddev[i] * noise
        prior = -0.5 * (latents**2).sum(1)
        posterior = (
            -0.5 * (noise**2).sum(1) - np.log(stddev[i].astype("float64")).sum()
        )
        for start in range(0, samples, _DECODED_AT_ONCE):
            part = latents[start : start + _DECODED_AT_ONCE].astype("float32")
            repeated = np.repeat(images[i : i + 1], len(part), axis=0)
            logs[i, start : start + len(part)] = -np.asarray(
                decode(repeated, part), "float64"
            )
        logs[i] += prior - posterior
    return -log_mean_exp(logs), -logs.mean(axis=1)
