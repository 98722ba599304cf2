"""What is refused before it is sent."""

import numpy as np

from serving.client.errors import InvalidRequest

# A protocol buffer's own limit; no gRPC server can take more.
_MAX_BYTES = 2**31 - 1


def images(values, image_shape):
    """Returns images as float32 in [0, 1].

    Args:
        values: `(batch, height, width, channels)`, uint8 or float in [0, 1].
        image_shape: `(height, width, channels)` of the model.

    Raises:
        InvalidRequest: for another shape, dtype or range, or no image.
    """
    values = _array(values, "images")
    if values.ndim != len(image_shape) + 1 or any(
        wanted not in (None, size)
        for wanted, size in zip(image_shape, values.shape[1:], strict=True)
    ):
        sizes = ", ".join(map(str, image_shape))
        hint = ""
        if values.shape == tuple(image_shape):
            hint = " (for one image, send images[None])"
        raise InvalidRequest(
            f"expected images of shape (batch, {sizes}), received: "
            f"images.shape={values.shape}{hint}"
        )
    _one_or_more(values, "images")
    if values.dtype == np.uint8:
        return values * np.float32(1 / 255)
    if not np.issubdtype(values.dtype, np.floating):
        raise InvalidRequest(
            "expected images as uint8, or as float in [0, 1], received: "
            f"images.dtype={values.dtype}"
        )
    # The comparison is False for NaN.
    if not (values.min() >= 0 and values.max() <= 1):
        raise InvalidRequest(
            "expected float images in [0, 1], received: values from "
            f"{_number(values.min())} to {_number(values.max())}"
        )
    return values.astype("float32")


def latents(values, latent_size, name):
    """Returns latents, or noise in their place, as float32.

    Args:
        values: `(batch, latent_size)`.
        latent_size: of the model.
        name: of the argument, for the message.

    Raises:
        InvalidRequest: for another shape, NaN or infinity, or none.
    """
    values = _floats(values, name)
    if values.ndim != 2 or latent_size not in (None, values.shape[1]):
        raise InvalidRequest(
            f"expected {name} of shape (batch, {latent_size}), received: "
            f"{name}.shape={values.shape}"
        )
    _one_or_more(values, name)
    if not np.isfinite(values).all():
        raise InvalidRequest(f"expected finite {name}, received: NaN or inf")
    return values


def files(contents):
    """Returns the contents of PNG or JPEG files as an array of bytes.

    Raises:
        InvalidRequest: for anything but a list of bytes, or none.
    """
    if not isinstance(contents, (list, tuple, np.ndarray)) or not all(
        isinstance(content, bytes) for content in contents
    ):
        raise InvalidRequest(
            "expected files as a list of bytes, the contents of PNG or JPEG "
            f"files, received: {type(contents).__name__}"
        )
    array = np.empty(len(contents), object)
    array[:] = contents
    _one_or_more(array, "files")
    return array


def loss_parameters(asked, metadata, name, inputs):
    """Completes and checks the loss parameters of a request.

    Args:
        asked: dict: name -> number or array; None: nothing.
        metadata: `Metadata`.
        name: of the signature.
        inputs: dict: name -> array, what else is sent; a loss parameter
            among them is left alone.

    Returns:
        dict: name -> float32 array of the shape that the signature takes.

    Raises:
        InvalidRequest: for an unknown name, another shape, or a value that
            was not trained.
        NotFound: the model has none.
    """
    specs = metadata.signature(name).inputs
    known = metadata.loss_parameters
    if asked and not known:
        metadata.signature("loss_parameters")  # raises
    asked = {} if asked is None else asked
    taken = [n for n in known if n in specs and n not in inputs]
    is_dict = isinstance(asked, dict)
    unknown = [n for n in asked if n not in taken] if is_dict else []
    if not is_dict or unknown:
        raise InvalidRequest(
            f"{name}: expected a dict of loss parameters among {taken}, "
            f"received: {unknown or asked!r}"
        )
    shares = [n for n in known if n in specs and known[n].is_share]
    missing = sorted(n for n in shares if n not in asked and n not in inputs)
    # Beside what was asked for, the others' defaults have no sum of 1.
    if missing and len(missing) < len(shares):
        raise InvalidRequest(
            f"expected all of {shares}, whose sum is 1, received: none of "
            f"{missing}"
        )
    rows = next((len(a) for a in inputs.values() if np.ndim(a)), None)
    return _checked(
        {n: asked.get(n, known[n].default) for n in taken}, known, specs, rows
    )


def _checked(values, known, specs, rows):
    if rows is None:
        rows = max((np.size(v) for v in values.values()), default=1)
    several = {n: len(specs[n].shape or ()) == 2 for n in values}
    values = {
        n: points(v, rows, n) if several[n] else numbers(v, rows, n)
        for n, v in values.items()
    }
    # Of those that are given at k points, all have as many.
    most = max((v.shape[1] for n, v in values.items() if several[n]), default=0)
    for name, value in values.items():
        if several[name] and value.shape[1] == 1:
            values[name] = np.broadcast_to(value, (rows, most))
    shares = {n: v for n, v in values.items() if known[n].is_share}
    # Where some are left to the server, the sum is too.
    if shares and len(shares) == sum(p.is_share for p in known.values()):
        _check_shares(shares)
    for name, value in values.items():
        good = known[name].contains(value)
        if not good.all():
            raise InvalidRequest(
                f"expected {name} {known[name].trained}, received: "
                f"{name}={_number(value[~good].flat[0])}"
            )
    return values


def _check_shares(shares):
    total = sum(shares.values())
    good = np.abs(total - 1) < 1e-4
    for value in shares.values():
        good = good & (value > 0)
    if not np.all(good):
        bad = {n: v[~good].flat[0] for n, v in shares.items()}
        raise InvalidRequest(
            f"expected {', '.join(shares)} above 0 with a sum of 1, received: "
            + " ".join(f"{n}={_number(v)}" for n, v in bad.items())
            + f", whose sum is {total[~good].flat[0]:g}"
        )


def numbers(values, rows, name):
    """Returns a loss parameter as float32 `(rows,)`.

    Raises:
        InvalidRequest: for neither a number nor one per row.
    """
    values = _floats(values, name)
    if values.shape not in ((), (rows,)):
        raise InvalidRequest(
            f"expected {name} as a number or one per row, shape "
            f"({rows},), received: {name}.shape={values.shape}"
        )
    return np.broadcast_to(values, (rows,))


def points(values, rows, name):
    """Returns a loss parameter as float32 `(rows, k)`.

    Args:
        values: a number, `(k,)`, the same for all rows, or `(rows, k)`.
        rows: their number.
        name: for the message.

    Raises:
        InvalidRequest: for another shape, or none.
    """
    values = _floats(values, name)
    if values.ndim > 2 or (values.ndim == 2 and len(values) != rows):
        raise InvalidRequest(
            f"expected {name} as a number, or of shape (k,) or ({rows}, k), "
            f"received: {name}.shape={values.shape}"
        )
    values = np.atleast_1d(values)
    if not values.shape[-1]:
        raise InvalidRequest(
            f"expected one or more values of {name}, received: none"
        )
    return np.broadcast_to(values, (rows, values.shape[-1]))


def _number(value):
    """In as few digits as tell it from all others of its dtype: what is just
    past an end does not read as the end."""
    return repr(float(str(value))).removesuffix(".0")


def _is_text(item):
    if isinstance(item, str):
        item.encode()  # raises a ValueError for half a pair of surrogates
    return isinstance(item, (bytes, str))


def as_input(value, spec, name):
    """Returns a value that is no array yet as one of a dtype.

    Raises:
        InvalidRequest: it cannot be one.
    """
    _check_mask(value, name)
    if isinstance(value, np.ndarray) and spec.dtype != "string":
        return np.asarray(value)
    try:
        # Strings as they are: NumPy's own kind drops zeros at their end.
        with np.errstate(over="ignore"):
            array = np.array(value, spec.numpy_dtype)
        if spec.dtype == "string":
            good = all(_is_text(item) for item in array.flat)
        elif array.dtype.kind in "iub":
            # NumPy cuts 1.7 to 1, and 0.3 to True.
            good = bool((array == np.array(value)).all())
        else:
            # NumPy reads texts, makes NaN of None, inf of what is too large.
            given = np.array(value)
            good = given.dtype.kind in "fiu" and bool(
                (np.isinf(array) == np.isinf(given)).all()
            )
    except (ValueError, TypeError, OverflowError):
        good = False
    if not good:
        raise InvalidRequest(
            f"expected {name} as {spec}, received: {repr(value)[:80]}"
        )
    return array


def inputs(arrays, signature, name):
    """Compares inputs with what the server's metadata says of them.

    Args:
        arrays: dict: name -> NumPy array.
        signature: `Signature`.
        name: of the signature, for the message.

    Raises:
        InvalidRequest: for other names, dtypes, shapes or sizes.
    """
    if set(arrays) != set(signature.inputs):
        raise InvalidRequest(
            f"{name}: expected the inputs {sorted(signature.inputs)}, "
            f"received: {sorted(arrays)}"
        )
    for alias, array in arrays.items():
        spec = signature.inputs[alias]
        if not spec.fits(array):
            raise InvalidRequest(
                f"{name}: expected {alias} as {spec}, received: "
                f"{array.dtype} {array.shape}"
            )
    size = sum(array.nbytes for array in arrays.values())
    if size > _MAX_BYTES:
        raise InvalidRequest(
            f"{name}: expected at most {_MAX_BYTES} bytes per request, "
            f"received: {size}; send fewer rows at once"
        )


def _check_mask(values, name):
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InvalidRequest(
            f"expected {name} without masked entries, which have no value, "
            f"received: {np.ma.count_masked(values)} of them"
        )


def _array(values, name):
    _check_mask(values, name)
    try:
        return np.asarray(values)
    except ValueError:
        raise InvalidRequest(
            f"expected {name} as one array, received: rows of unequal shapes"
        ) from None


def _floats(values, name):
    values = _array(values, name)
    if values.dtype.kind not in "fiu":
        raise InvalidRequest(
            f"expected {name} as numbers, received: {values.dtype}"
        )
    # Too large for float32 becomes inf, which is refused as such.
    with np.errstate(over="ignore"):
        return values.astype("float32")


def _one_or_more(values, name):
    if not len(values):
        raise InvalidRequest(f"expected one or more {name}, received: none")
