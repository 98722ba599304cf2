"""A folder of pictures, with its sub-folders."""

from pathlib import Path

import numpy as np

from yoto_tf.data import pictures
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
            with pictures.open_picture(path) as picture:
                sides.append(min(picture.size))
        return preprocessing.fitting_size(min(sides), min(sides))

    def load(self, wanted, size):
        """Decodes pictures; see `TfdsImages.load`. Always three channels."""
        loaded = {}
        for split, indices in wanted.items():
            images = np.empty((len(indices), size, size, 3), np.uint8)
            for row, index in enumerate(indices):
                images[row] = pictures.read_square(self.files[index], size)
            loaded[split] = images
        return loaded
