"""What `fit`, `evaluate` and `predict` are given, where Keras would fail with
other words."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError


def check_targets(y):
    """As `check_data`, of targets, which there may be none of."""
    if y is not None:
        _check_kinds(keras.tree.flatten(y), "targets y")


def _check_kinds(leaves, what, texts=False):
    plain = [v for v in leaves if isinstance(v, int | float | str | np.generic)]
    if plain:
        raise InputError(
            f"expected {what}, received: lists of {type(plain[0]).__name__}; "
            "numpy.asarray makes an array"
        )
    for leaf in leaves:
        dtype = getattr(leaf, "dtype", None)
        if _is_text(leaf) and texts:
            continue
        if isinstance(dtype, np.dtype) and dtype.kind in "USOMm":
            raise InputError(
                f"expected {what} of numbers, received: an array of "
                f"dtype={dtype}"
                + "; of texts tf.constant makes a tensor"
                * texts
            )


def _is_text(leaf):
    """Whether it is what Keras makes a tensor of texts of."""
    return (
        isinstance(leaf, np.ndarray)
        and leaf.dtype == object
        and leaf.ndim == 1
        and all(isinstance(text, str) for text in leaf)
    )


def check_sample_weight(given):
    """Refuses weights that are no numbers, of any batch: one would make NaN of
    all weights of the model."""
    if isinstance(given, np.ndarray) or type(given).__module__.startswith(
        "pandas"
    ):
        values = np.asarray(given, "float64")
        if not np.isfinite(values).all():
            bad = values[~np.isfinite(values)][0]
            raise InputError(
                "expected a sample_weight of finite numbers, received: "
                f"sample_weight={bad:g}"
            )


def check_weights_have_targets(x, y, sample_weight, class_weight=None):
    """Refuses weights of arrays without targets: Keras drops them, and says
    nothing."""
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    given = [name for name, value in weights.items() if value is not None]
    arrays = all(hasattr(leaf, "shape") for leaf in keras.tree.flatten(x))
    if given and y is None and arrays:
        raise InputError(
            f"expected targets y beside {given[0]}, which Keras leaves out "
            "without them (a model that needs none takes y=x), received: y=None"
        )


def check_data(x):
    """Raises `InputError` for what Keras would fail on with other words."""
    leaves = keras.tree.flatten(x)
    if not leaves or leaves[0] is None:
        raise InputError(
            f"expected arrays, tensors or a Dataset, received: {x!r}"
        )
    _check_kinds(leaves, "arrays or tensors", texts=True)
    empty = isinstance(x, tf.data.Dataset) and int(x.cardinality()) == 0
    if empty or any(getattr(v, "shape", ())[:1] == (0,) for v in leaves):
        raise InputError("expected one or more examples, received: none")


def check_batches(given, group_size, parts):
    """Refuses arrays of which a batch would be refused when weights have
    moved already.

    Args:
        given: dict, the arguments of `keras.Model.fit`.
        group_size: of the model; None: the whole batch.
        parts: `batch_parts`.

    Raises:
        InputError: for a batch, or a last one, that does not fit.
    """
    leaves = keras.tree.flatten(given.get("x"))
    if given.get("steps_per_epoch") or not all(
        isinstance(a, np.ndarray | tf.Tensor) and len(a.shape) for a in leaves
    ):
        return
    num = int(leaves[0].shape[0])
    # As Keras splits.
    split = given.get("validation_split") or 0.0
    num = int(num * (1 - split))
    if num <= 0 or split < 0:
        raise InputError(
            "expected a validation_split from 0 to below 1 that leaves one "
            f"example or more, received: validation_split={split} of "
            f"{leaves[0].shape[0]} examples"
        )
    size = min(given.get("batch_size") or 32, num)
    for rows, what in ((size, "batch"), (num % size, "last batch")):
        fewest = parts * (group_size or 1)
        if rows % (group_size or 1):
            expected = f"a multiple of group_size={group_size} examples"
        elif 0 < rows < fewest:
            expected = f"{fewest} examples or more for batch_parts={parts}"
        else:
            continue
        raise InputError(
            f"expected batches of {expected}, received: a {what} of {rows}, "
            f"of {num} examples and batch_size={size}"
            + f"; x[:{num - rows}] is without it"
            * (what == "last batch")
        )


def forms(*data, exact=False):
    """What tells whether a graph that was made for other data suits some.

    Args:
        *data: as `fit` takes them.
        exact: whether their shapes count, and not their ranks alone.

    Returns:
        list, of all arrays; None where only reading a batch would tell. Keras
        makes a column of what pandas has.
    """
    found = []
    for given in data:
        for leaf in keras.tree.flatten(getattr(given, "element_spec", given)):
            if leaf is None:
                continue
            shape = getattr(leaf, "shape", None)
            if shape is None:
                return None
            shape = tf.TensorShape(shape)
            of_pandas = type(leaf).__module__.startswith("pandas")
            found.append((of_pandas, shape[1:] if exact else shape.rank))
    return found


@contextlib.contextmanager
def target_errors(y):
    """Says what errors of `loss_terms` ask for that are of its targets."""
    try:
        yield
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        if isinstance(error, InputError):
            raise
        said = str(error).strip().split("\n")[0]
        dtypes = [
            tf.as_dtype(t.dtype).name
            for t in keras.tree.flatten(y)
            if hasattr(t, "dtype")
        ]
        whole = [d for d in dtypes if d in said and "float" not in d]
        if y is None and "None" in said:
            expected = "targets y, which loss_terms() reads, received: none"
        elif whole:
            expected = (
                "targets y of floats, as y.astype('float32'), or loss_terms() "
                f"that cast them, received: y of dtype={whole[0]}"
            )
        else:
            raise
        raise InputError(
            f"expected {expected} ({type(error).__name__}: {said})"
        ) from error
