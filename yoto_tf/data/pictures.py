"""From a picture file of any kind to a square uint8 image."""

import numpy as np
from PIL import Image
from PIL import ImageOps

from yoto_tf.errors import InputError

# A file of some kilobytes can claim any size; decoding it is what costs.
MAX_PIXELS = 80_000_000


def open_picture(path):
    """Opens a picture; its pixels are decoded later.

    Raises:
        InputError: if it is no picture, or of more than `MAX_PIXELS`.
    """
    try:
        picture = Image.open(path)
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:
        raise _broken(path, error) from error
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        picture.close()
        raise InputError(
            f"expected pictures of at most {MAX_PIXELS:,} pixels, received: "
            f"{path} with {size}"
        )
    return picture


def read_square(path, size, channels=3):
    """The middle square of a picture, averaged down to `size` pixels.

    Args:
        path: of the file, or a file object.
        size: height and width of the result.
        channels: 3 for RGB, 1 for grey.

    Returns:
        `(size, size, channels)` uint8.

    Raises:
        InputError: if it cannot be decoded.
    """
    with open_picture(path) as file:
        try:
            picture = _as_rgb(ImageOps.exif_transpose(file))
        except (OSError, SyntaxError, ValueError) as error:
            raise _broken(path, error) from error
    if channels == 1:
        picture = picture.convert("L")
    side = min(picture.size)
    left = (picture.width - side) // 2
    top = (picture.height - side) // 2
    square = picture.resize(
        (size, size),
        Image.Resampling.BOX,
        box=(left, top, left + side, top + side),
    )
    return np.asarray(square).reshape(size, size, channels)


def _as_rgb(picture):
    """Eight bits a channel, and white where the picture is transparent."""
    if picture.mode.startswith("I"):
        # 16-bit greyscale; Pillow's own conversion clips it at 255.
        values = np.asarray(picture, dtype="float64") / 257
        picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _broken(path, error):
    return InputError(
        f"expected pictures that can be decoded, received: {path} ({error}); "
        "mend or remove it"
    )
