"""Points at which a model is scored that it was not trained at."""

import math

from yoto_tf import points
from yoto_tf.errors import InputError


def not_trained(model, grid):
    """Points of a grid that a model was not trained at, each once.

    Args:
        model: of the run.
        grid: list of dicts, name -> value.

    Raises:
        InputError: for values that a loss parameter cannot have.
    """
    told = model.loss_parameters
    found = []
    for point in grid:
        for name, value in point.items():
            positive = told.is_positive(name)
            if not math.isfinite(value) or (positive and value <= 0):
                wanted = "above 0" if positive else "as a finite number"
                raise InputError(
                    f"expected {name} {wanted}, received: {name}={value:g}"
                )
        if not told.contains(point) and point not in found:
            found.append(point)
    return found


def extrapolated(found, model, run):
    """What `not_trained` found, for a reader."""
    told = model.loss_parameters
    trained = ", ".join(f"{n} {told.describe(n)}" for n in found[0])
    return (
        f"not trained at {'; '.join(map(points.label, found))}: what is scored "
        f"there is an extrapolation of {run.path}, which was trained with "
        f"{trained}"
    )
