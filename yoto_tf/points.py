"""Points: values of a model's loss parameters, `{"beta": 16.0}`.

Imports no TensorFlow.
"""

import itertools

from yoto_tf.errors import InputError


def product(grid):
    """All combinations of a grid, the last parameter fastest.

    Args:
        grid: dict, name -> values.

    Returns:
        list of dicts, name -> float.
    """
    return [
        dict(zip(grid, map(float, values), strict=True))
        for values in itertools.product(*grid.values())
    ]


def label(point):
    """A point as a text, `beta=16` or `beta=16, tc=2`."""
    return ", ".join(f"{name}={value:g}" for name, value in point.items())


def term_column(name, point):
    """Where a table has the mean of a term: under its name, or as `NAME_term`
    beside a loss parameter of the same name, its weight."""
    return f"{name}_term" if name in point else name


def parsed(texts, names):
    """Reads the grid that a command line gives, as `beta=1,16,256`.

    Args:
        texts: one per parameter.
        names: of the parameters that there are.

    Returns:
        dict, name -> tuple of floats.

    Raises:
        InputError: for another form, an unknown name, or one given twice.
    """
    grid = {}
    for text in texts:
        name, equals, values = text.partition("=")
        try:
            numbers = tuple(float(v) for v in values.split(","))
        except ValueError:
            numbers = ()
        if not equals or not numbers:
            raise InputError(
                f"expected values as {names[0]}=1,2,4, received: {text!r}"
            )
        if name not in names:
            raise InputError(
                f"expected a loss parameter among {', '.join(names)}, "
                f"received: {text!r}"
            )
        if name in grid or len(set(numbers)) < len(numbers):
            raise InputError(
                "expected each loss parameter, and each of its values, once, "
                f"received: {text!r}"
            )
        grid[name] = numbers
    return grid
