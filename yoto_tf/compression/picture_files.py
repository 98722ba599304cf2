"""Picture files to pixels and back, by Pillow."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

from yoto_tf import pillow
from yoto_tf.compression.container import MAX_PIXELS
from yoto_tf.compression.container import check_size
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole

# What can be written, and how: without loss, but for JPEG.
_WRITTEN = {
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".webp": ("WEBP", {"lossless": True}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
}
# Pixels a side.
_LARGEST_SIDES = {"WEBP": 16_383, "JPEG": 65_500}
# Modes of Pillow with eight bits a channel that become RGB as they are.
_PLAIN = {"1", "L", "P", "RGB"}
_ALPHA = {"LA", "PA", "RGBA"}
_BITS_PER_SAMPLE = 258  # TIFF 6.0


@dataclasses.dataclass(frozen=True)
class Picture:
    """Pixels of a file.

    Attributes:
        pixels: uint8, `(height, width, 3)`, or of a grey picture
            `(height, width)`.
    """

    pixels: np.ndarray

    @property
    def rgb(self):
        """`(height, width, 3)`."""
        if self.pixels.ndim == 3:
            return self.pixels
        return np.repeat(self.pixels[..., None], 3, -1)


def read_picture(path, max_pixels=MAX_PIXELS, alpha="refuse"):
    """Reads a picture, turned as its EXIF orientation says.

    Args:
        path: of a PNG, JPEG, WebP or TIFF file, or what else Pillow reads.
        max_pixels: with more of them it is refused before it is decoded.
        alpha: of transparent pixels: `"refuse"`, or `"drop"` for white in
            their place.

    Returns:
        `Picture`.

    Raises:
        InputError: for a file that is no picture, damaged, too large,
            transparent, animated, or of more than eight bits a channel.
        OSError: for a file that cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            with _opened(file) as picture:
                _check(picture, path, max_pixels, alpha)
                return Picture(_pixels(pillow.turned(picture), path, alpha))
        except InputError:
            raise
        except UnidentifiedImageError as error:
            raise InputError(
                f"expected a picture, received: {path}, which is none that "
                "Pillow knows"
            ) from error
        except Image.DecompressionBombError as error:
            raise InputError(
                f"expected a picture of at most {max_pixels:,} pixels, "
                f"received: {path} ({error})"
            ) from error
        except pillow.DAMAGED as error:
            raise InputError(
                "expected a picture that can be decoded, received: "
                f"{path} ({error})"
            ) from error


def _opened(file):
    with warnings.catch_warnings():
        # Of sizes that are looked at next.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file)


def _check(picture, path, max_pixels, alpha):
    if picture.width * picture.height > max_pixels:
        raise InputError(
            f"expected a picture of at most {max_pixels:,} pixels, received: "
            f"{path} with {picture.width} x {picture.height}"
        )
    # Pillow cuts 16 bits of a colour to 8 without a word.
    deep = any(
        ";16" in str(tile) or "16" in str(tile[0]) for tile in picture.tile
    ) or _is_deep(picture)
    if deep or picture.mode not in _PLAIN | _ALPHA:
        raise InputError(
            "expected a picture of grey or RGB with eight bits a channel, "
            f"received: {path} of {'16 bits' if deep else picture.mode}"
        )
    if alpha == "refuse":
        # What else cameras put into a JPEG are previews.
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and picture.format != "MPO":
            raise InputError(
                "expected a picture that does not move, received: "
                f"{path} with {frames} frames"
            )
        check_size(picture.width, picture.height)


def _is_deep(picture):
    """Whether what Pillow's tiles do not tell has more than eight bits."""
    if picture.format == "TIFF":
        bits = picture.tag_v2.get(_BITS_PER_SAMPLE, 8)
        return max(np.atleast_1d(bits)) > 8
    if picture.format == "PPM":
        # The value of white, where it is not 255.
        args = [tile[3] for tile in picture.tile]
        return any(isinstance(a, tuple) and a[-1] > 255 for a in args)
    return False


def _pixels(picture, path, alpha):
    clear = picture.mode in _ALPHA or "transparency" in picture.info
    if clear:
        rgba = picture.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] < 255:
            if alpha == "refuse":
                raise InputError(
                    "expected a picture without transparency, received: "
                    f"{path} with transparent pixels; flatten it first"
                )
            white = Image.new("RGBA", rgba.size, "white")
            rgba = Image.alpha_composite(white, rgba)
        grey = picture.mode in ("1", "L", "LA")
        return np.asarray(rgba.convert("L" if grey else "RGB"))
    return np.asarray(
        picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    )


def check_written(path, size=None):
    """Raises `InputError` for what `write_picture` cannot write.

    Args:
        path: whose suffix may be one that is not known.
        size: `(height, width)`, which may be too large for the kind.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITTEN:
        raise InputError(
            f"expected a picture file ending in {', '.join(_WRITTEN)}, "
            f"received: {path}"
        )
    form, options = _WRITTEN[suffix]
    most = _LARGEST_SIDES.get(form)
    if size and most and max(size) > most:
        raise InputError(
            f"expected a PNG file for sides above {most:,} pixels, which "
            f"{form} cannot have, received: {path} for {size[1]} x {size[0]} "
            "pixels"
        )
    return form, options


def write_picture(path, pixels):
    """Writes pixels `(height, width)` or `(height, width, 3)` uint8, whole or
    not at all.

    Raises:
        InputError: for a suffix that is not known, or too large a size.
        SaveError: if it cannot be written.
    """
    form, options = check_written(path, pixels.shape[:2])
    with written_whole(path) as aside:
        Image.fromarray(pixels).save(aside, form, **options)
