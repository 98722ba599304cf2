"""Pareto front and hypervolume of points whose coordinates are costs."""

import numpy as np

from yoto_tf.errors import InputError


def pareto_front(points):
    """Marks the points that no other point beats.

    A point is beaten by one that is nowhere larger and somewhere smaller.

    Args:
        points: `(n, d)`, smaller is better in every column.

    Returns:
        Boolean array `(n,)`. Equal points are all on the front or all off.

    Raises:
        InputError: if `points` has another shape or a NaN.
    """
    points = _checked(points)
    no_larger = (points[:, None] <= points[None]).all(-1)
    smaller = (points[:, None] < points[None]).any(-1)
    return ~(no_larger & smaller).any(0)


def hypervolume(points, reference):
    """Area that the points dominate, up to a reference point.

    Args:
        points: `(n, 2)`, smaller is better in both columns.
        reference: the two largest costs that count; points beyond it in
            either add nothing.

    Returns:
        The area, in the product of the columns' units (nats^2 for rate and
        distortion).
    """
    points = _checked(points)
    reference = np.asarray(reference, dtype="float64")
    if points.shape[1] != 2 or reference.shape != (2,):
        raise InputError(
            "expected points (n, 2) and a reference (2,), received: "
            f"points.shape={points.shape}, reference.shape={reference.shape}"
        )
    points = points[(points < reference).all(1)]
    front = points[np.lexsort((points[:, 1], points[:, 0]))]
    area, ceiling = 0.0, reference[1]
    # From the left: each point that lies below all before it adds a bar that
    # reaches from it to the reference.
    for first, second in front:
        if second < ceiling:
            area += (reference[0] - first) * (ceiling - second)
            ceiling = second
    return float(area)


def _checked(points):
    points = np.asarray(points, dtype="float64")
    if points.ndim != 2 or np.isnan(points).any():
        raise InputError(
            "expected points (n, d) without NaN, received: "
            f"points.shape={points.shape}"
        )
    return points
