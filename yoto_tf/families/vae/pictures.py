"""Pictures of a VAE: samples of the prior, and a walk along its latents."""

import numpy as np

from yoto_tf import points
from yoto_tf.families.parts import PictureGrid

_ROWS = 6
_COLUMNS = 10


def further_pictures(model, images, grid, seed):
    """Yields `PictureGrid`s; see `Family.further_pictures`."""
    labels = [points.label(p) for p in grid]
    yield PictureGrid(
        "prior_samples",
        "images decoded from the prior, one row per value",
        "Samples of the prior, the same latents in every row",
        [
            model.sample(_COLUMNS, seed=seed, loss_parameters=point)
            for point in grid
        ],
        labels,
    )
    # The lowest that is 1 or more: latents of smaller ones are many.
    high = [p for p in grid if p["beta"] >= 1]
    point = min(high, key=_beta) if high else max(grid, key=_beta)
    rows, latents, steps = _traversal(model, images[:500], point)
    yield PictureGrid(
        "latent_traversal",
        "one latent moved per row, the most active ones first",
        f"Latent traversal around a test image, {points.label(point)}",
        rows,
        [f"latent {i}" for i in latents],
        [f"{s:+.1f}" for s in steps],
    )


def _beta(point):
    return point["beta"]


def _traversal(model, images, point):
    """Moves the most active latents of the first image from -2.5 to 2.5."""
    means = np.concatenate(
        [
            np.asarray(
                model.encode(images[i : i + 100], loss_parameters=point)[0]
            )
            for i in range(0, len(images), 100)
        ]
    )
    latents = np.argsort(-means.var(axis=0), kind="stable")[:_ROWS]
    steps = np.linspace(-2.5, 2.5, _COLUMNS + 1)
    rows = []
    for latent in latents:
        z = np.tile(means[:1], (len(steps), 1))
        z[:, latent] = steps
        rows.append(model.decode(z, loss_parameters=point))
    return rows, latents, steps
