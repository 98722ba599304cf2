"""What a PNG or JPEG file says of its picture, read inside a graph.

TensorFlow's decoders give the pixels as they are stored. How the picture is
to be turned is written in an EXIF block (JEITA CP-3451, "Orientation"), and
whether one colour of it is transparent in the chunk tRNS of PNG (ISO 15948).
"""

import numpy as np
import tensorflow as tf

# Of a file's segments or chunks, so that one that is made of nothing else
# cannot hold the server. A PNG of 16 million pixels has some 5000.
MAX_PARTS = 2**14

_ORIENTATION = 0x0112
_SHORT = 3
# Entries of an EXIF directory that are looked at; cameras write some 10.
_MAX_ENTRIES = 500


def png_header(data):
    """Reads the chunks of a PNG file.

    Args:
        data: uint8 `(bytes,)`, the whole file.

    Returns:
        `(transparent, exif, parts)`: bool, whether pixels can be transparent;
        int64, where an EXIF block begins, -1 if there is none; int64, the
        number of chunks, above `MAX_PARTS` if they were not all read.
    """
    color = _number(data, 25, 1)

    def more(at, parts, ended, *_):
        return ~ended & (at + 8 <= tf.size(data, tf.int64))

    def read(at, parts, _, seen_pixels, clear, exif):
        length, kind = _number(data, at, 4), _number(data, at + 4, 4)
        # Of one colour in grey or RGB, or of each of a palette.
        fits = (
            ((color == 0) & (length == 2))
            | ((color == 2) & (length == 6))
            | ((color == 3) & (length >= 1))
        )
        clear |= (kind == _code(b"tRNS")) & fits & ~seen_pixels
        exif = tf.where((kind == _code(b"eXIf")) & (exif < 0), at + 8, exif)
        parts += 1
        ended = (kind == _code(b"IEND")) | (parts > MAX_PARTS)
        seen_pixels |= kind == _code(b"IDAT")
        return at + 12 + length, parts, ended, seen_pixels, clear, exif

    _, parts, _, _, clear, exif = tf.while_loop(
        more,
        read,
        (_int(8), _int(0), _no(), _no(), _no(), _int(-1)),
    )
    has_alpha = (color == 4) | (color == 6)
    return has_alpha | clear, exif, parts


def jpeg_header(data):
    """Reads the segments of a JPEG file before its pixels; see `png_header`.
    Never transparent."""

    def more(at, parts, ended, _):
        return ~ended & (at + 2 <= tf.size(data, tf.int64))

    def read(at, parts, _, exif):
        first, marker = _number(data, at, 1), _number(data, at + 1, 1)
        # As libjpeg: bytes that are no marker are passed over, one by one.
        nothing = (first != 0xFF) | (marker == 0xFF)
        bare = (marker <= 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        is_exif = (
            ~nothing
            & (marker == 0xE1)
            & (_number(data, at + 4, 6) == _code(b"Exif\0\0"))
        )
        exif = tf.where(is_exif, at + 10, exif)
        parts += 1
        # The pixels, the end of the file, or all that is looked for.
        ended = ~nothing & ((marker == 0xDA) | (marker == 0xD9))
        ended |= is_exif | (parts > MAX_PARTS)
        length = tf.where(bare, _int(0), _number(data, at + 2, 2))
        at += tf.where(nothing, _int(1), 2 + length)
        return at, parts, ended, exif

    _, parts, _, exif = tf.while_loop(
        more, read, (_int(2), _int(0), _no(), _int(-1))
    )
    return _no(), exif, parts


def orientation(data, start):
    """Reads how a picture is to be turned.

    Args:
        data: uint8 `(bytes,)`, the whole file.
        start: int64, where its EXIF block begins.

    Returns:
        int64, 1 to 8; 1 if `start` is negative, or the block is damaged or
        does not tell.
    """
    order = _number(data, start, 2)
    little = order == _code(b"II")
    known = (start >= 0) & (little | (order == _code(b"MM")))
    known &= _number(data, start + 2, 2, little) == 42
    directory = start + _number(data, start + 4, 4, little)
    count = tf.minimum(_number(data, directory, 2, little), _MAX_ENTRIES)
    entries = directory + 2 + 12 * tf.range(count)
    tells = (_number(data, entries, 2, little) == _ORIENTATION) & (
        _number(data, entries + 2, 2, little) == _SHORT
    )
    # The first that tells; none gives 0.
    values = tf.boolean_mask(_number(data, entries + 8, 2, little), tells)
    value = tf.reduce_sum(values[:1])
    return tf.where(known & (value >= 1) & (value <= 8), value, 1)


def turned(picture, how):
    """Turns and mirrors a picture as its EXIF orientation says.

    Args:
        picture: `(height, width, channels)`.
        how: int64, 1 to 8.
    """
    picture = tf.cond(
        how >= 5,
        lambda: tf.transpose(picture, (1, 0, 2)),
        lambda: picture,
    )
    down = _is_any(how, (3, 4, 7, 8))
    across = _is_any(how, (2, 3, 6, 7))
    return tf.cond(
        down | across,
        lambda: picture[:: tf.where(down, -1, 1), :: tf.where(across, -1, 1)],
        lambda: picture,
    )


def _number(data, at, length, little=False):
    """The number in `length` bytes at each position of `at`, big endian
    unless `little`; bytes past the end are 0."""
    steps = np.arange(length)
    at = tf.cast(at, tf.int64)[..., None] + steps
    last = tf.size(data, tf.int64) - 1
    digits = tf.cast(tf.gather(data, tf.clip_by_value(at, 0, last)), tf.int64)
    digits = tf.where((at >= 0) & (at <= last), digits, 0)
    powers = 8 * steps[::-1]
    if little is not False:
        powers = tf.where(little, 8 * steps, powers)
    return tf.reduce_sum(tf.bitwise.left_shift(digits, powers), axis=-1)


def _code(word):
    return int.from_bytes(word)


def _is_any(value, those):
    return tf.reduce_any(value == tf.constant(those, tf.int64))


def _int(value):
    return tf.constant(value, tf.int64)


def _no():
    return tf.constant(False)
