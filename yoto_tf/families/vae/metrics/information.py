"""Mutual information of image and code."""

import math

import numpy as np

_ROWS = 250


def information_bounds(mean, stddev, latent):
    """E[log q(z|x) - log q(z)] between two bounds (Poole et al., On
    Variational Bounds of Mutual Information, ICML 2019, equations 12 and 13).

    Each image's sample is compared with the posteriors of all images, whose
    mean stands for q(z): a lower bound, in expectation, which cannot exceed
    log(n), however much the code tells (McAllester & Stratos, AISTATS 2020).
    Compared with those of all *other* images it is an upper bound. They are
    close where many images' posteriors overlap.

    Args:
        mean, stddev: of the images' Gaussian posteriors, `(n, d)`, n at least
            2.
        latent: one sample of each, `(n, d)`.

    Returns:
        `(lower, upper)`, in nats: from 0 to `log(n)`, and at least as much.

    Example:
        mean = stddev = np.ones((100, 4))
        information_bounds(mean, stddev, mean)  # (0, 0): it tells nothing
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
    lower = upper = 0.0
    num = len(latent)
    for start in range(0, len(latent), _ROWS):
        rows = slice(start, start + _ROWS)
        z = latent[rows]
        logs = z @ linear - 0.5 * (z**2) @ precision.T - constant
        # What was multiplied out loses digits where deviations are tiny.
        itself = np.arange(len(z)), np.arange(num)[rows]
        logs[itself] = own[rows]
        lower += (own[rows] - log_mean_exp(logs)).sum()
        logs[itself] = -np.inf
        others = log_mean_exp(logs) + math.log(num / (num - 1))
        upper += (own[rows] - others).sum()
    # What is drawn may leave either below 0, which information never is.
    lower, upper = (max(float(total / num), 0.0) for total in (lower, upper))
    return lower, max(lower, upper)


def log_mean_exp(values):
    """log of the mean of exp over the last axis, without overflow."""
    largest = values.max(axis=-1, keepdims=True)
    mean = np.exp(values - largest).mean(axis=-1)
    return np.log(mean) + largest[..., 0]


def ceiling(num):
    """What the lower bound over `num` images cannot exceed, in nats."""
    return math.log(num)
