"""Pixels as the networks take them, and back. NumPy alone."""

import numpy as np

from yoto_tf.compression.container import check_size
from yoto_tf.errors import InputError

# Sides of what the networks take are multiples of it.
MULTIPLE = 64
# Of pictures whose MS-SSIM is measured: five scales, a window of 11 pixels.
SMALLEST_FOR_MS_SSIM = 176


def checked(pixels):
    """`(rgb, channels)`: uint8 `(height, width, 3)`, and 1 or 3, how many of
    them `pixels` has.

    Args:
        pixels: uint8 `(height, width, 3)`, `(height, width, 1)` or
            `(height, width)`.

    Raises:
        InputError: for others, or of a size that files do not hold.
    """
    pixels = np.asarray(pixels)
    shape = pixels.shape
    grey = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    rgb = len(shape) == 3 and shape[2] == 3
    if pixels.dtype != np.uint8 or not (grey or rgb):
        raise InputError(
            "expected uint8 pixels (height, width, 3) or (height, width), "
            f"received: {pixels.dtype} of shape {shape}"
        )
    check_size(shape[1], shape[0])
    if grey:
        pixels = np.repeat(pixels.reshape(*shape[:2], 1), 3, -1)
    return pixels, 1 if grey else 3


def padded(side):
    """The next multiple of 64."""
    return -(-side // MULTIPLE) * MULTIPLE


def filled(rgb):
    """Sides become multiples of 64, by repeating the last row and column."""
    height, width, _ = rgb.shape
    margins = (padded(height) - height, padded(width) - width)
    if not any(margins):
        return rgb
    return np.pad(rgb, ((0, margins[0]), (0, margins[1]), (0, 0)), "edge")


def cropped(rgb, file):
    """The picture of a `Container`: without what was filled in, of its
    channels."""
    return of_channels(rgb[: file.height, : file.width], file.channels)


def of_channels(rgb, channels):
    """The picture itself for three channels, its rounded mean for one."""
    if channels == 3:
        return rgb
    return np.stack([np.rint(row.mean(-1)).astype("uint8") for row in rgb])


def psnr_of(pixels, made):
    """Peak signal-to-noise ratio of uint8 pixels in dB; infinite of equal
    ones."""
    error = sum(
        # By rows: the differences of all would be large.
        float(np.square(np.int32(a) - b, dtype="int64").sum())
        for a, b in zip(pixels, made, strict=True)
    )
    if not error:
        return float("inf")
    return float(10 * np.log10(255.0**2 * np.size(pixels) / error))
