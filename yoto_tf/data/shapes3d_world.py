"""The six factors of the Shapes3D world and the order of their images.

The factors, their values and the order of the 480,000 combinations are those
of the 3D Shapes data set (Burgess and Kim, 2018,
https://github.com/google-deepmind/3d-shapes): the last factor, orientation,
varies fastest.
"""

import numpy as np

FACTOR_NAMES = (
    "floor_hue",
    "wall_hue",
    "object_hue",
    "scale",
    "shape",
    "orientation",
)
FACTOR_SIZES = (10, 10, 10, 8, 4, 15)
SHAPE_NAMES = ("cube", "cylinder", "sphere", "capsule")
NUM_COMBINATIONS = int(np.prod(FACTOR_SIZES))

# Label -> physical value. Hue is a fraction of the colour circle, scale is
# relative to the mean object size, shape is the label itself and orientation
# is in degrees.
FACTOR_VALUES = {
    "floor_hue": np.arange(10) / 10,
    "wall_hue": np.arange(10) / 10,
    "object_hue": np.arange(10) / 10,
    "scale": np.linspace(0.75, 1.25, 8),
    "shape": np.arange(4.0),
    "orientation": np.linspace(-30.0, 30.0, 15),
}


def check_factors(factors):
    """Returns `factors` as an array of labels, or explains what is wrong.

    Args:
        factors: Integer array of shape `(n, 6)`; column `i` holds labels of
            `FACTOR_NAMES[i]`, in `[0, FACTOR_SIZES[i])`.

    Returns:
        Array of shape `(n, 6)`, dtype int64.

    Raises:
        ValueError: If the shape, the dtype or a label is out of range.
    """
    array = np.asarray(factors)
    if array.ndim != 2 or array.shape[1] != len(FACTOR_SIZES):
        raise ValueError(
            "expected an integer array of shape (n, 6), "
            f"received: factors={factors!r}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            "expected labels of an integer dtype, "
            f"received: factors={factors!r} of dtype {array.dtype}"
        )
    bad = ((array < 0) | (array >= np.array(FACTOR_SIZES))).any(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"expected labels of {FACTOR_NAMES} from 0 to below "
            f"{FACTOR_SIZES}, received: factors={array[row].tolist()} "
            f"in row {row}"
        )
    return array.astype(np.int64)


def index_to_factors(indices):
    """Returns the labels of the images at `indices` of the full data set.

    Args:
        indices: Integer array of shape `(n,)` in `[0, 480000)`.

    Returns:
        Array of shape `(n, 6)`, dtype int64, columns as in `FACTOR_NAMES`.

    Raises:
        ValueError: If an index is not an integer in range.
    """
    array = np.asarray(indices)
    if (
        array.ndim != 1
        or not np.issubdtype(array.dtype, np.integer)
        or ((array < 0) | (array >= NUM_COMBINATIONS)).any()
    ):
        raise ValueError(
            f"expected integers of shape (n,) from 0 to below "
            f"{NUM_COMBINATIONS}, received: indices={indices!r}"
        )
    remainder = array.astype(np.int64)
    columns = []
    for size in reversed(FACTOR_SIZES):
        remainder, label = np.divmod(remainder, size)
        columns.append(label)
    return np.stack(columns[::-1], axis=1)


def factors_to_index(factors):
    """Returns the positions of `factors` in the full data set.

    Args:
        factors: Integer array of shape `(n, 6)`, see `check_factors`.

    Returns:
        Array of shape `(n,)`, dtype int64, in `[0, 480000)`.

    Raises:
        ValueError: If the shape, the dtype or a label is out of range.
    """
    labels = check_factors(factors)
    index = np.zeros(len(labels), np.int64)
    for column, size in enumerate(FACTOR_SIZES):
        index = index * size + labels[:, column]
    return index


def factor_values(factors):
    """Returns the physical values of `factors`.

    Args:
        factors: Integer array of shape `(n, 6)`, see `check_factors`.

    Returns:
        Array of shape `(n, 6)`, dtype float64: three hues in `[0, 1)`, the
        scale in `[0.75, 1.25]`, the shape label and the orientation in
        degrees in `[-30, 30]`.

    Raises:
        ValueError: If the shape, the dtype or a label is out of range.
    """
    labels = check_factors(factors)
    return np.stack(
        [
            FACTOR_VALUES[name][labels[:, column]]
            for column, name in enumerate(FACTOR_NAMES)
        ],
        axis=1,
    )
