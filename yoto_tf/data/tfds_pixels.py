"""From what the `image` feature of a TFDS data set holds to uint8."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from yoto_tf.data import preprocessing
from yoto_tf.errors import InputError

_DTYPES = ("uint8", "uint16", "float16", "float32", "float64")


def check_feature(feature, name):
    """Refuses a feature that is not an image with known channels.

    Args:
        feature: of `builder.info.features`, or None.
        name: of the data set.

    Raises:
        InputError: if it is no still image of uint8, uint16 or float with 1
            or 3 channels, or 4 of a PNG, whose last is transparency.
    """
    if isinstance(feature, tfds.features.LabeledImage):
        raise InputError(
            "expected a data set of pictures, received: "
            f"data.name={name!r}, whose 'image' holds numbers of classes"
        )
    images = isinstance(feature, tfds.features.Image)
    if not (images or isinstance(feature, tfds.features.Tensor)) or (
        len(feature.shape) != 3
    ):
        received = type(feature).__name__
        if getattr(feature, "shape", None) and not hasattr(feature, "keys"):
            received += f" of shape {tuple(feature.shape)}"
        raise InputError(
            "expected a data set whose 'image' is (height, width, channels), "
            f"received: data.name={name!r}, whose 'image' is {received}"
        )
    dtype = np.dtype(feature.np_dtype).name
    channels = feature.shape[-1]
    # The fourth of a Tensor could be anything, as infrared. TensorFlow decodes
    # no picture of two channels.
    known = (1, 3, 4) if images else (1, 3)
    if dtype not in _DTYPES or channels not in known:
        raise InputError(
            f"expected images of {', '.join(_DTYPES)} with {known} channels, "
            f"received: data.name={name!r} with {dtype} and {channels}"
        )


def to_uint8(image):
    """Scales an image to 0..255 and lays it on white where it is transparent.

    Args:
        image: `(height, width, channels)` uint8, uint16 or float in [0, 1].

    Returns:
        `(image, is_valid)`: `(height, width, 1 or 3)` uint8, and whether its
        values were in their range; NaN is not.
    """
    valid = tf.constant(True)
    if image.dtype == tf.uint16:
        # 65535 is 255 * 257.
        image = tf.cast((tf.cast(image, tf.int32) + 128) // 257, tf.uint8)
    elif image.dtype.is_floating:
        valid = tf.reduce_all((image >= 0) & (image <= 1))
        scaled = tf.where(valid, image, tf.zeros_like(image)) * 255
        image = tf.cast(tf.round(scaled), tf.uint8)
    if image.shape[-1] == 4:
        image = preprocessing.flattened(image)
    return image, valid


def without_binary(images, dtype):
    """Scales images of zeros and ones alone, as those of `binarized_mnist`,
    in place: they are meant black and white.

    Args:
        images: what `to_uint8` made, as one array.
        dtype: of the feature. Of others than uint8, ones are what became of
            values that are all but 0, as of 8 bits in 16.
    """
    if np.dtype(dtype) == np.uint8 and images.max(initial=0) == 1:
        images *= 255
    return images
