"""Scores of a code from counts: mutual information gap and modularity.

Definitions as in disentanglement_lib (Locatello et al., Challenging Common
Assumptions in the Unsupervised Learning of Disentangled Representations, ICML
2019). Codes are posterior means, `(n, d)`; factors are labels, `(n, k)`.
"""

import numpy as np

BINS = 20


def mutual_information_gap(codes, factors, bins=BINS):
    """MIG (Chen et al., NeurIPS 2018): by how much the code that says most of
    a factor says more of it than the second, in units of the factor's
    entropy; the mean over the factors.

    Grows with the number of bins and falls with that of points: compare only
    at the same of both.

    Args:
        codes: `(n, d)` floats, d at least 2.
        factors: `(n, k)` labels, each with two values or more.
        bins: of the histogram of a code.

    Returns:
        Number in [0, 1].

    Example:
        mutual_information_gap(codes, factors)
    """
    information = information_of(codes, factors, bins)
    entropies = np.array([_information(f, f) for f in factors.T])
    best = -np.sort(-information, axis=0)
    return float(np.mean((best[0] - best[1]) / entropies))


def modularity(codes, factors, bins=BINS):
    """Modularity (Ridgeway & Mozer, NeurIPS 2018): 1 where each code tells of
    one factor alone; the mean over the codes.

    Falls from codes that tell of nothing: look at the live ones beside it.

    Args:
        codes, factors, bins: as of `mutual_information_gap`; two factors or
            more.

    Returns:
        Number in [0, 1].
    """
    squared = information_of(codes, factors, bins) ** 2
    largest = squared.max(axis=1)
    others = squared.sum(axis=1) - largest
    told = largest > 0
    share = np.ones(len(largest))
    share[told] = others[told] / (largest[told] * (factors.shape[1] - 1))
    return float(np.mean(1 - share))


def information_of(codes, factors, bins=BINS):
    """Mutual information of each binned code and each factor, in nats.

    Args:
        codes, factors, bins: as of `mutual_information_gap`.

    Returns:
        `(d, k)`.
    """
    binned = np.stack([_binned(c, bins) for c in codes.T], axis=1)
    return np.array([[_information(c, f) for f in factors.T] for c in binned.T])


def _binned(code, bins):
    # In float32 a nearly constant code has no room for so many edges.
    code = code.astype("float64")
    edges = np.histogram(code, bins)[1]
    return np.digitize(code, edges[:-1])


def _information(a, b):
    """Of two columns of labels, of their counts."""
    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    shape = a.max() + 1, b.max() + 1
    joint = np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1])
    joint = joint.reshape(shape) / len(a)
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    nats = np.sum(joint[seen] * np.log(joint[seen] / apart[seen]))
    return max(float(nats), 0.0)
