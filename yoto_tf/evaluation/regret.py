"""How far full losses lie above the best ones of the same point."""

import numpy as np

from yoto_tf.errors import InputError


def mean_regret(full_losses, best):
    """Mean over a grid of points of what a method loses to the best.

    The regret at one point is the method's full loss, under the weights that
    it was asked for, minus the best full loss known there. Every point counts
    alike: no weights, no division by the loss. With the best of several
    methods that include this one it is 0 or more, and 0 for a method that is
    best everywhere; against baselines alone it is the mean full-loss
    difference, negative where the method wins.

    Args:
        full_losses: `(..., points)`, in any unit.
        best: the losses to compare with, broadcastable to `full_losses`.

    Returns:
        float64 array `(...)`, a scalar for one method, in the losses' unit.

    Raises:
        InputError: if there are no points or the shapes do not fit.
    """
    full_losses = np.asarray(full_losses, dtype="float64")
    best = np.asarray(best, dtype="float64")
    if (
        full_losses.ndim < 1
        or full_losses.shape[-1] == 0
        or best.shape[-1:] != full_losses.shape[-1:]
    ):
        raise InputError(
            "expected full losses (..., points) and best ones of the same "
            f"points, received: full_losses.shape={full_losses.shape}, "
            f"best.shape={best.shape}"
        )
    return (full_losses - best).mean(-1)
