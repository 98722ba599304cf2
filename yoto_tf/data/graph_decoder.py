"""PNG and JPEG files to square uint8 images, as operations of a graph.

The one decoder of these files: training runs it, and exported models have it
in their graph, so that a picture is the same to both.
"""

import tensorflow as tf

from yoto_tf.data import file_headers
from yoto_tf.data import preprocessing
from yoto_tf.graph_checks import require

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"


def can_decode(file):
    """Whether the bytes begin as a PNG or JPEG file does."""
    return file.startswith((_PNG, _JPEG))


def decode_square(file, size, channels, max_pixels, name):
    """Decodes a picture and makes an image of it, as `preprocessing.to_image`
    does. It is turned as its EXIF orientation says; of one that moves, the
    picture is taken that other programs show.

    Args:
        file: scalar string tensor, the content of a PNG or JPEG file.
        size: height and width of the result.
        channels: 3 for RGB, 1 for grey.
        max_pixels: a file of some kilobytes can claim any size.
        name: of the file, for messages.

    Returns:
        `(size, size, channels)` uint8.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for bytes that are no
            such file, are damaged, or have too many pixels.
    """
    is_png = _starts_with(file, _PNG)
    known = require(
        is_png | _starts_with(file, _JPEG),
        f"expected {name} to be a PNG or JPEG file, received bytes:",
        tf.strings.length(file),
    )
    with tf.control_dependencies([known]):
        height_width = tf.cond(
            is_png,
            lambda: _png_size(file, name),
            lambda: tf.cast(tf.io.extract_jpeg_shape(file)[:2], tf.int64),
        )
    # The header alone was read until here.
    bounded = require(
        tf.fill([2], tf.reduce_prod(height_width) <= max_pixels),
        f"expected {name} of at most {max_pixels} pixels, received height and "
        "width:",
        height_width,
    )
    with tf.control_dependencies([bounded]):
        data = tf.io.decode_raw(file, tf.uint8)
        transparent, exif, parts = tf.cond(
            is_png,
            lambda: file_headers.png_header(data),
            lambda: file_headers.jpeg_header(data),
        )
        orientation = file_headers.orientation(data, exif)
    whole = require(
        parts <= file_headers.MAX_PARTS,
        f"expected {name} of at most {file_headers.MAX_PARTS} chunks or "
        "segments, received bytes:",
        tf.strings.length(file),
    )
    with tf.control_dependencies([whole]):
        file = tf.identity(file)

    def square(picture):
        return preprocessing.middle_square(
            file_headers.turned(picture, orientation)
        )

    def flattened():
        rgba = tf.io.decode_png(file, channels=4)
        return preprocessing.flattened(square(rgba))

    def opaque():
        return square(
            tf.cond(
                is_png,
                lambda: tf.io.decode_png(file, channels=3),
                # The other transform is off by up to nine of 255.
                lambda: tf.io.decode_jpeg(
                    file, channels=3, dct_method="INTEGER_ACCURATE"
                ),
            )
        )

    picture = tf.cond(transparent, flattened, opaque)
    picture.set_shape((None, None, 3))
    return preprocessing.to_image(picture, size, channels)


def _starts_with(file, prefix):
    return tf.equal(tf.strings.substr(file, 0, len(prefix)), prefix)


def _png_size(file, name):
    """Height and width from the header chunk, which must be the first:
    length, "IHDR", width, height; 4 bytes each, big endian."""
    # Padded: for a position past the end, substr fails with its own words and
    # quotes the file.
    start = tf.strings.join([tf.strings.substr(file, 0, 24), b"\0" * 24])
    whole = require(
        tf.equal(tf.strings.substr(start, 12, 4), b"IHDR")
        & (tf.strings.length(file) >= 24),
        f"expected {name} to be a whole PNG file, received bytes:",
        tf.strings.length(file),
    )
    with tf.control_dependencies([whole]):
        header = tf.io.decode_raw(tf.strings.substr(start, 16, 8), tf.uint8)
    digits = tf.reshape(tf.cast(header, tf.int64), (2, 4))
    width_height = tf.reduce_sum(
        digits * tf.constant([2**24, 2**16, 2**8, 1], tf.int64), axis=1
    )
    return width_height[::-1]
