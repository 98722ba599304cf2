"""Mutual information of image and code."""

import math

import numpy as np

_ROWS = 250


def aggregate_information(mean, stddev, latent):
    """E[log q(z|x) - log q(z)], with q(z) the mean of all images' posteriors.

    Each image's sample is compared with the posteriors of all images. The
    estimate cannot exceed log(n), however much the code tells: near it, it
    says "at least" (McAllester & Stratos, AISTATS 2020).

    Args:
        mean, stddev: of the images' Gaussian posteriors, `(n, d)`.
        latent: one sample of each, `(n, d)`.

    Returns:
        nats, from about 0 to `log(n)`.

    Example:
        mean = stddev = np.ones((100, 4))
        aggregate_information(mean, stddev, mean)  # 0: the code tells nothing
    """
    mean, stddev, latent = (
        np.asarray(a, "float64") for a in (mean, stddev, latent)
    )
    precision = stddev**-2.0
    # The square, multiplied out: matrices in place of (n, n, d) numbers.
    constant = 0.5 * (mean**2 * precision).sum(1) + np.log(stddev).sum(1)
    linear = (mean * precision).T
    own = -0.5 * ((latent - mean) / stddev) ** 2 - np.log(stddev)
    own = own.sum(1)
    total = 0.0
    for start in range(0, len(latent), _ROWS):
        rows = slice(start, start + _ROWS)
        z = latent[rows]
        logs = z @ linear - 0.5 * (z**2) @ precision.T - constant
        # What was multiplied out loses digits where deviations are tiny.
        logs[np.arange(len(z)), np.arange(len(latent))[rows]] = own[rows]
        total += (own[rows] - log_mean_exp(logs)).sum()
    return float(total / len(latent))


def log_mean_exp(values):
    """log of the mean of exp over the last axis, without overflow."""
    largest = values.max(axis=-1, keepdims=True)
    mean = np.exp(values - largest).mean(axis=-1)
    return np.log(mean) + largest[..., 0]


def ceiling(num):
    """What an estimate over `num` images cannot exceed, in nats."""
    return math.log(num)
