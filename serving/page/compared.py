"""A model's picture beside JPEG and WebP files of the same size."""

import dataclasses
import io
import math

import numpy as np
from PIL import Image

from yoto_tf.compression.pixels import psnr_of

_OPTIONS = {"JPEG": {"optimize": True}, "WebP": {"method": 4}}
_HIGHEST = 100


@dataclasses.dataclass(frozen=True)
class Compared:
    """One of the pictures that are shown beside each other.

    Attributes:
        title: what it is.
        said: what is known of it.
        pixels: uint8 `(height, width, 3)`.
    """

    title: str
    said: str
    pixels: np.ndarray


def pictures(files, original, outputs, said):
    """The original, the model's, and those of other codecs.

    Args:
        files: `yoto_tf.families.view.Files`.
        original: uint8 `(height, width, 3)`.
        outputs: dict, the model's answer.
        said: at which point, in words.

    Returns:
        list of `Compared`.
    """
    height, width = original.shape[:2]
    made = as_bytes(outputs[files.picture])
    bits = float(outputs[files.bits])
    size = math.ceil(bits * height * width / 8) + files.header
    found = [
        Compared("Original", f"{width} × {height} pixels", original),
        Compared(f"This model {said}", _said(original, made, size), made),
    ]
    for codec in _OPTIONS:
        quality, data = of_size(original, codec, size)
        with Image.open(io.BytesIO(data)) as read:
            pixels = np.asarray(read.convert("RGB"))
        text = _said(original, pixels, len(data))
        if len(data) > size:
            text += "; it cannot be smaller"
        found.append(Compared(f"{codec}, its quality {quality}", text, pixels))
    return found


def of_size(pixels, codec, most):
    """The best file of a codec of so many bytes at most.

    Args:
        pixels: uint8 `(height, width, 3)`.
        codec: of Pillow, `"JPEG"` or `"WebP"`.
        most: bytes.

    Returns:
        `(quality, bytes)`; of the lowest quality where no file is so small.
    """
    written = {}

    def size(quality):
        file = io.BytesIO()
        Image.fromarray(pixels).save(
            file, codec, quality=quality, **_OPTIONS[codec]
        )
        written[quality] = file.getvalue()
        return len(written[quality])

    # Sizes rise with the quality, but for a few bytes.
    low, high = 1, _HIGHEST
    if size(low) > most:
        return low, written[low]
    while low < high:
        middle = (low + high + 1) // 2
        if size(middle) <= most:
            low = middle
        else:
            high = middle - 1
    return low, written[low]


def as_bytes(image):
    """uint8 pixels of an image in [0, 1] or of bytes; grey ones without the
    axis of channels."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        # NaN, of a row that was not answered, is black.
        pixels = np.nan_to_num(pixels).clip(0, 1)
        pixels = (pixels * 255).round().astype(np.uint8)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _said(original, pixels, size):
    psnr = psnr_of(original, pixels)
    per_pixel = 8 * size / (original.shape[0] * original.shape[1])
    return f"{size:,} bytes, {per_pixel:.3f} bits per pixel, {psnr:.2f} dB"
