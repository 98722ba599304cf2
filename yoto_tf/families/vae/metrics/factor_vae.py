"""The FactorVAE score (Kim & Mnih, Disentangling by Factorising, ICML 2018),
as in disentanglement_lib, its votes drawn from codes that are there."""

import numpy as np

BATCH = 64
_LIVE_DEVIATION = 0.05
_VOTES_AT_ONCE = 200


def live_codes(codes):
    """`(d,)` bool: whose standard deviation over the points is 0.05 or more;
    the others take no part in the votes."""
    return np.sqrt(codes.var(axis=0, ddof=1)) >= _LIVE_DEVIATION


def factor_vae_score(
    codes, factors, votes=(10_000, 5_000), batch=BATCH, seed=0
):
    """Accuracy of a majority vote that tells the fixed factor from the code
    that varied least.

    Each vote fixes one factor at the value that a random point has, draws a
    batch of the points with that value, with replacement, and names the live
    code with the smallest variance in units of its variance over all points.

    Args:
        codes: `(n, d)` floats.
        factors: `(n, k)` labels.
        votes: how many to learn the majority from, and how many to test.
        batch: points per vote.
        seed: of the draws.

    Returns:
        Number in [0, 1]; 0 where no code is live.
    """
    live = live_codes(codes)
    if not live.any():
        return 0.0
    codes = codes[:, live]
    variances = codes.var(axis=0, ddof=1)
    rng = np.random.default_rng(seed)
    alike = [_places_by_value(labels) for labels in factors.T]

    def counted(num):
        counts = np.zeros((factors.shape[1], codes.shape[1]), int)
        for start in range(0, num, _VOTES_AT_ONCE):
            size = min(_VOTES_AT_ONCE, num - start)
            fixed = rng.integers(factors.shape[1], size=size)
            points = rng.integers(len(codes), size=size)
            drawn = np.stack(
                [
                    rng.choice(alike[j][factors[i, j]], batch)
                    for i, j in zip(points, fixed, strict=True)
                ]
            )
            varied = codes[drawn].var(axis=1, ddof=1) / variances
            np.add.at(counts, (fixed, varied.argmin(axis=1)), 1)
        return counts

    majority = counted(votes[0]).argmax(axis=0)
    tested = counted(votes[1])
    right = tested[majority, np.arange(codes.shape[1])].sum()
    return float(right / votes[1])


def _places_by_value(labels):
    return {v: np.flatnonzero(labels == v) for v in np.unique(labels)}
