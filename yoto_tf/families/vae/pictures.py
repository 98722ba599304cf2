"""Pictures of a VAE: samples of the prior, and walks along its latents."""

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
    if len(grid) > 1:
        yield from _by_point(model, images, grid, labels)


def _by_point(model, images, grid, labels):
    """The same walks at every point."""
    rows, chosen = [], []
    for point in grid:
        (row, *_), (latent, *_), steps = _traversal(
            model, images[:500], point, num=1
        )
        rows.append(row)
        chosen.append(latent)
    yield PictureGrid(
        "latent_traversal_by_value",
        "the most active latent moved around a test image, one row per value",
        "Traversal of the most active latent (its number before the row)",
        rows,
        [f"{i}: {text}" for i, text in zip(chosen, labels, strict=True)],
        [f"{s:+.1f}" for s in steps],
    )
    shares = np.linspace(0, 1, _COLUMNS + 1)
    yield PictureGrid(
        "interpolation",
        "decoded on the way from the posterior's mean of one test image to "
        "that of another, one row per value",
        "From one test image to another, through the latents",
        [_interpolation(model, images[:2], point, shares) for point in grid],
        labels,
        [f"{s:.1f}" for s in shares],
    )


def _interpolation(model, two, point, shares):
    """Decodes the line between two images' posterior means."""
    first, second = np.asarray(model.encode(two, loss_parameters=point)[0])
    z = first + shares[:, None].astype("float32") * (second - first)
    return model.decode(z, loss_parameters=point)


def _beta(point):
    return point["beta"]


def _traversal(model, images, point, num=_ROWS):
    """Moves the most active latents of the first image from -2.5 to 2.5."""
    means = np.concatenate(
        [
            np.asarray(
                model.encode(images[i : i + 100], loss_parameters=point)[0]
            )
            for i in range(0, len(images), 100)
        ]
    )
    latents = np.argsort(-means.var(axis=0), kind="stable")[:num]
    steps = np.linspace(-2.5, 2.5, _COLUMNS + 1)
    rows = []
    for latent in latents:
        z = np.tile(means[:1], (len(steps), 1))
        z[:, latent] = steps
        rows.append(model.decode(z, loss_parameters=point))
    return rows, latents, steps
