"""PNG and JPEG bytes in, PNG bytes out, inside the graph."""

import tensorflow as tf

from export.checks import require
from yoto_tf.data.preprocessing import to_square

# A PNG of a few kilobytes can decode to gigabytes. 16.8 million pixels are a
# photograph of 4096 x 4096, 50 MB decoded; rows are decoded one by one.
MAX_PIXELS = 2**24

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"


def decode(data, image_shape, skip_bad):
    """Decodes pictures as `yoto_tf.data` does: middle square, resized.

    Args:
        data: string `(batch,)`, each a PNG or JPEG file.
        image_shape: `(size, size, channels)` of the model.
        skip_bad: give a black picture for a file that cannot be decoded; else
            the graph fails with INVALID_ARGUMENT.

    Returns:
        `(images, good)`: uint8 `(batch, size, size, channels)`, and bool
        `(batch,)`, which of the files were decoded.
    """

    def decode_one(file):
        return _decode_one(file, image_shape), tf.constant(True)

    def decode_or_skip(file):
        # tf.data is the one part of a graph in which an error can be caught.
        black = tf.zeros(image_shape, tf.uint8), tf.constant(False)
        return (
            tf.data.Dataset.from_tensors(file)
            .map(decode_one)
            .ignore_errors()
            .concatenate(tf.data.Dataset.from_tensors(black))
            .take(1)
            .get_single_element()
        )

    return tf.map_fn(
        decode_or_skip if skip_bad else decode_one,
        data,
        # One at a time: memory is bounded by one picture, not by the batch.
        parallel_iterations=1,
        fn_output_signature=(
            tf.TensorSpec(image_shape, tf.uint8),
            tf.TensorSpec((), tf.bool),
        ),
    )


def encode(images):
    """Encodes float images in [0, 1] `(batch, height, width, channels)` as
    PNG files; string `(batch,)`."""
    pixels = tf.cast(tf.round(images * 255), tf.uint8)
    return tf.map_fn(
        tf.io.encode_png,
        pixels,
        fn_output_signature=tf.TensorSpec((), tf.string),
    )


def _decode_one(file, image_shape):
    is_png = _starts_with(file, _PNG)
    known = require(
        is_png | _starts_with(file, _JPEG),
        "expected image_bytes to be a PNG or JPEG file, received bytes:",
        tf.strings.length(file),
    )
    with tf.control_dependencies([known]):
        size = tf.cond(
            is_png,
            lambda: _png_size(file),
            lambda: tf.cast(tf.io.extract_jpeg_shape(file)[:2], tf.int64),
        )
    # The header alone was read until here.
    bounded = require(
        tf.fill([2], tf.reduce_prod(size) <= MAX_PIXELS),
        f"expected image_bytes of at most {MAX_PIXELS} pixels, received "
        "height and width:",
        size,
    )
    with tf.control_dependencies([bounded]):
        file = tf.identity(file)
    # Decodes JPEG as well.
    picture = tf.io.decode_png(file, channels=image_shape[-1])
    return to_square(picture, image_shape[0])


def _starts_with(file, prefix):
    return tf.equal(tf.strings.substr(file, 0, len(prefix)), prefix)


def _png_size(file):
    """Height and width from the header chunk, which must be the first:
    length, "IHDR", width, height; 4 bytes each, big endian."""
    # Padded: for a position past the end, substr fails with its own words and
    # quotes the file.
    start = tf.strings.join([tf.strings.substr(file, 0, 24), b"\0" * 24])
    whole = require(
        tf.equal(tf.strings.substr(start, 12, 4), b"IHDR")
        & (tf.strings.length(file) >= 24),
        "expected image_bytes to be a whole PNG file, received bytes:",
        tf.strings.length(file),
    )
    with tf.control_dependencies([whole]):
        header = tf.io.decode_raw(tf.strings.substr(start, 16, 8), tf.uint8)
    digits = tf.reshape(tf.cast(header, tf.int64), (2, 4))
    width_height = tf.reduce_sum(
        digits * tf.constant([2**24, 2**16, 2**8, 1], tf.int64), axis=1
    )
    return width_height[::-1]
