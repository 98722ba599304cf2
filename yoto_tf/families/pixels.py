"""Images as tensors of uint8 or of floats in [0, 1], checked where they enter a
model."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method.assertions import checked


def to_unit_interval(images):
    """Maps uint8 pixels to [0, 1] and floats to float32, in the graph."""
    if images.dtype in (np.uint8, tf.uint8, "uint8"):
        return ops.cast(images, "float32") * (1 / 255)
    return ops.cast(images, "float32")


def as_pixels(images):
    """Returns a batch of images as a tensor of a dtype that can be pixels, and
    of a known rank.

    Args:
        images: an array or a tensor, symbolic or not.

    Raises:
        InputError: for other structures and dtypes, unknown ranks, and none.
    """
    if isinstance(images, keras.KerasTensor):
        return images
    if isinstance(images, list | tuple | dict) or not hasattr(images, "dtype"):
        raise InputError(
            f"expected one array of images, received: a {type(images).__name__}"
        )
    if isinstance(images, tf.RaggedTensor | tf.SparseTensor):
        raise InputError(
            "expected images of one size as a dense array, "
            f"received: a {type(images).__name__}"
        )
    images = tf.convert_to_tensor(images)
    if images.dtype != tf.uint8 and not images.dtype.is_floating:
        raise InputError(
            "expected images as uint8, or as float in [0, 1], "
            f"received: images.dtype={images.dtype.name}"
        )
    if images.shape.rank is None:
        raise InputError(
            "expected images of shape (batch, height, width, channels), "
            "received: images of unknown rank, as of a generator without "
            "output_signature, or of another rank than those before"
        )
    if images.shape[0] == 0:
        raise InputError("expected one or more images, received: none")
    return images


def in_unit_interval(images):
    """Returns what `as_pixels` gave, if floats are in [0, 1].

    Raises:
        InputError: for other floats; in a graph when it runs, see
            `assertions.checked`.
    """
    if isinstance(images, keras.KerasTensor) or images.dtype == tf.uint8:
        return images
    # Free for uint8, 0.1 ms for floats; without it, pixels up to 255 would
    # train to nonsense without a word. False for NaN.
    return checked(
        images,
        tf.reduce_all((images >= 0) & (images <= 1)),
        "expected float images in [0, 1], received: values from",
        tf.reduce_min(images),
        "to",
        tf.reduce_max(images),
    )
