"""Points at which a model is scored that it was not trained at."""

import math

from yoto_tf import points
from yoto_tf.errors import InputError


def not_trained(model, grid, run, log=print):
    """Points of a grid that a model was not trained at, each once; says so.

    Args:
        model: of the run.
        grid: list of dicts, name -> value.
        run: `RunDirectory`.
        log: called with a sentence, if there are any.

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
    if found:
        trained = ", ".join(f"{n} {told.describe(n)}" for n in found[0])
        log(
            f"not trained at {'; '.join(map(points.label, found))}: what is "
            f"scored there is an extrapolation of {run.path}, which was "
            f"trained with {trained}"
        )
    return found
