"""A folder of pictures, with its sub-folders."""

from pathlib import Path

import numpy as np
from PIL import Image
from PIL import ImageOps

from yoto_tf.data import preprocessing
from yoto_tf.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


class FolderImages:
    """The pictures below a folder, in the order of their names.

    Args:
        name: path of the folder.

    Raises:
        InputError: if it is not a folder or holds no pictures.
    """

    def __init__(self, name):
        self.folder = Path(name).expanduser()
        if not self.folder.is_dir():
            raise InputError(
                "expected a folder of pictures, received: "
                f"data.name={name!r}, which is not a folder"
            )
        self.files = sorted(
            p for p in self.folder.rglob("*") if p.suffix.lower() in SUFFIXES
        )
        if not self.files:
            raise InputError(
                f"expected pictures ({', '.join(SUFFIXES)}) in the folder, "
                f"received: data.name={name!r} with none"
            )
        self.splits = {"train": len(self.files)}

    def native_size(self):
        """Side of the smallest of the first 100 pictures, rounded down to
        32, 64 or 128 pixels."""
        sides = []
        for path in self.files[:100]:
            with _opened(path) as picture:
                sides.append(min(picture.size))
        return preprocessing.fitting_size(min(sides), min(sides))

    def load(self, wanted, size):
        """Decodes pictures; see `TfdsImages.load`. Always three channels."""
        loaded = {}
        for split, indices in wanted.items():
            images = np.empty((len(indices), size, size, 3), np.uint8)
            for row, index in enumerate(indices):
                images[row] = _square(self.files[index], size)
            loaded[split] = images
        return loaded


def _opened(path):
    try:
        return Image.open(path)
    except (OSError, Image.DecompressionBombError) as error:
        raise _broken(path, error) from error


def _square(path, size):
    """The middle square of a picture, averaged down to `size` pixels."""
    with _opened(path) as file:
        try:
            picture = _as_rgb(ImageOps.exif_transpose(file))
        except (OSError, SyntaxError, ValueError) as error:
            raise _broken(path, error) from error
    side = min(picture.size)
    left = (picture.width - side) // 2
    top = (picture.height - side) // 2
    return np.asarray(
        picture.resize(
            (size, size),
            Image.Resampling.BOX,
            box=(left, top, left + side, top + side),
        )
    )


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
