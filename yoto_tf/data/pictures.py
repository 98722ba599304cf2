"""From a picture file of any kind to a square uint8 image."""

import functools
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from yoto_tf import pillow
from yoto_tf.data import graph_decoder
from yoto_tf.data import preprocessing
from yoto_tf.errors import InputError

# A file of some kilobytes can claim any size; decoding it is what costs.
MAX_PIXELS = 80_000_000


class TooManyPixels(InputError):
    """Of a picture that may well be one."""


def open_picture(path):
    """Opens a picture; its pixels are decoded later.

    Raises:
        InputError: if it is no picture, or of more than `MAX_PIXELS`.
    """
    try:
        picture = Image.open(path)
    except Image.DecompressionBombError as error:
        raise TooManyPixels(
            f"expected pictures of at most {MAX_PIXELS:,} pixels, received: "
            f"{path} ({error})"
        ) from error
    except pillow.DAMAGED as error:
        raise _broken(path, error) from error
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        picture.close()
        raise TooManyPixels(
            f"expected pictures of at most {MAX_PIXELS:,} pixels, received: "
            f"{path} with {size}"
        )
    return picture


def read_square(path, size, channels=3):
    """Makes an image of the model from a picture, as
    `preprocessing.to_image` does; it is turned as its EXIF orientation says.

    PNG and JPEG files are decoded by the operations that exported models have
    in their graph, other kinds by Pillow.

    Args:
        path: of the file, or a file object.
        size: height and width of the result.
        channels: 3 for RGB, 1 for grey.

    Returns:
        `(size, size, channels)` uint8.

    Raises:
        InputError: if it cannot be decoded.
    """
    with open_picture(path) as picture:
        content = _content(path)
        if graph_decoder.can_decode(content):
            return _decoded_in_graph(path, content, size, channels)
        try:
            kind = picture.format  # which the turned one has not
            pixels = _as_rgba(pillow.turned(picture), kind)
        except pillow.DAMAGED as error:
            raise _broken(path, error) from error
    return np.asarray(preprocessing.to_image(pixels, size, channels))


def read_within(path, most_pixels, multiple):
    """A picture of any size, made smaller where it is too large.

    Args:
        path: of the file, or a file object.
        most_pixels: of the result.
        multiple: of what its sides are multiples; what is beyond is cut off,
            and a shorter side made longer.

    Returns:
        `(height, width, 3)` uint8; over white where it was transparent.

    Raises:
        InputError: if it cannot be decoded.
    """
    with open_picture(path) as picture:
        try:
            kind = picture.format
            rgba = _as_rgba(pillow.turned(picture), kind)
        except pillow.DAMAGED as error:
            raise _broken(path, error) from error
    seen = Image.fromarray(rgba)
    white = Image.new("RGBA", seen.size, "white")
    seen = Image.alpha_composite(white, seen).convert("RGB")
    scale = min(1, (most_pixels / (seen.width * seen.height)) ** 0.5)
    scale = max(scale, multiple / min(seen.size))
    # Of a strip of some pixels, the ends are pressed together.
    ends = multiple, most_pixels // multiple
    sides = tuple(int(np.clip(round(s * scale), *ends)) for s in seen.size)
    if sides != seen.size:
        seen = seen.resize(sides, Image.Resampling.LANCZOS)
    sides = [side // multiple * multiple for side in sides]
    left, top = ((a - b) // 2 for a, b in zip(seen.size, sides, strict=True))
    box = (left, top, left + sides[0], top + sides[1])
    return np.asarray(seen.crop(box))


def _decoded_in_graph(path, content, size, channels):
    try:
        return _decoder(size, channels)(tf.constant(content)).numpy()
    except tf.errors.InvalidArgumentError as error:
        # TensorFlow writes a heading above it, and the graph's nodes below.
        reason = error.message.split("\n\t [[")[0].rsplit("\n", 1)[-1]
        raise _broken(path, reason) from error


def _content(path):
    if not hasattr(path, "read"):
        return Path(path).read_bytes()
    path.seek(0)
    return path.read()


@functools.cache
def _decoder(size, channels):
    @tf.function(
        input_signature=[tf.TensorSpec((), tf.string)], autograph=False
    )
    def decode(file):
        return graph_decoder.decode_square(
            file, size, channels, MAX_PIXELS, "the picture"
        )

    return decode


def _as_rgba(picture, kind):
    """Eight bits of four channels `(height, width, 4)`.

    Raises:
        ValueError: where it is not known which number is white.
    """
    if picture.mode == "F":
        values = np.asarray(picture)
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError("floats that are not all in [0, 1]")
        picture = Image.fromarray(np.round(values * 255).astype(np.uint8))
    elif picture.mode == "I" and kind not in ("PNG", "PPM"):
        raise ValueError("integers of 32 bits, of which none is white")
    elif picture.mode.startswith("I"):
        # 16-bit greyscale; Pillow's own conversion clips it at 255. The upper
        # eight bits, as of a PNG.
        values = np.asarray(picture).clip(0, 2**16 - 1) >> 8
        picture = Image.fromarray(values.astype(np.uint8))
    return np.asarray(picture.convert("RGBA"))


def _broken(path, reason):
    return InputError(
        "expected pictures that can be decoded, received: "
        f"{path} ({getattr(reason, 'strerror', None) or reason}); "
        "mend or remove it"
    )
