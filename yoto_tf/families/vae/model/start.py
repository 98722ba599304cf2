"""Where the posterior's variance starts: the linear VAE's optimum."""

import math

import numpy as np

# Of the log odds, per deviation of log(beta), which is 2.4 on [0.125, 512]:
# there the odds grow in proportion to beta, as they should. On narrow ranges
# they would grow far too fast: never faster than beta ** 1.2.
_SLOPE = 2.4
_SMALLEST_DEVIATION = 2.0


def linear_vae_start(low, high, variance, told=True):
    """The linear VAE's optimal variance as a `start` of `GaussianPosterior`.

    In the middle of log(beta) the start is `variance`; up to the ends of the
    range the odds variance / (1 - variance) grow and fall by a factor of 64,
    or of less on a range of less than a factor of 1,000. With 0.9 on [0.125,
    512] that is beta / (1 + beta).

    Args:
        low, high: the range of beta, `0 < low <= high`.
        variance: above 0 and below 1.
        told: off, the same variance for every beta.

    Returns:
        `(offset, slope)` of log(variance / (1 - variance)) over log(beta).
    """
    offset = math.log(variance / (1 - variance))
    if not told:
        return offset, 0.0
    # Of a log-uniform beta.
    deviation = math.log(high / low) / math.sqrt(12)
    slope = _SLOPE / max(deviation, _SMALLEST_DEVIATION)
    return offset - slope * math.log(low * high) / 2, slope


def data_starts(images, noise_variance, latent_size):
    """The linear VAE's optimal variances for the data's own eigenvalues.

    A linear VAE gives latent j, at its optimum under beta, the variance
    beta s / lambda_j until that is 1: lambda_j is the j-th eigenvalue of the
    data's covariance, s the variance of p(x|z) (Lucas et al., Don't Blame the
    ELBO, NeurIPS 2019, equation 8, with beta s in place of s). Rounded off at
    1 as odds, beta s / lambda_j, so that their logarithm is log(beta) plus
    what is returned. So the latents of a model close one after the other as
    beta grows, from the first step on.

    Args:
        images: `(n, ...)`, in [0, 1].
        noise_variance: s, above 0, in the same units.
        latent_size: number of latents.

    Returns:
        `(latent_size,)` float32, log(s / lambda_j), ascending; where there
        are fewer eigenvalues than latents, the last is repeated.
    """
    flat = np.reshape(images, (len(images), -1)).astype("float64")
    flat = flat - flat.mean(axis=0)
    # The smaller one of two matrices with the same eigenvalues.
    small = flat @ flat.T if len(flat) < flat.shape[1] else flat.T @ flat
    eigenvalues = np.linalg.eigvalsh(small / len(flat))[::-1]
    ratios = eigenvalues[:latent_size] / noise_variance
    # Where the data say nothing any more; of the order of float32's rounding.
    ratios = ratios[ratios > 1e-3] if (ratios > 1e-3).any() else np.ones(1)
    ratios = np.pad(ratios, (0, latent_size - len(ratios)), mode="edge")
    return -np.log(ratios).astype("float32")
