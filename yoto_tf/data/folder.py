"""A folder of pictures, with its sub-folders."""

import collections
import concurrent.futures
import hashlib
import os
import unicodedata
from pathlib import Path

import numpy as np

from yoto_tf.data import pictures
from yoto_tf.data import preprocessing
from yoto_tf.data.listing import SUFFIXES
from yoto_tf.data.listing import picture_files
from yoto_tf.data_record import digests
from yoto_tf.errors import InputError


class FolderImages:
    """The pictures below a folder, in the order of their names.

    Args:
        name: path of the folder.

    Raises:
        InputError: if it is not a folder, cannot be read or holds no
            pictures.
    """

    version = "folder"

    def __init__(self, name):
        try:
            self.folder = Path(name).expanduser()
        except RuntimeError:
            # "~name" of a user that there is not.
            self.folder = Path(name)
        if not self.folder.is_dir():
            there = os.path.lexists(self.folder)
            raise InputError(
                "expected a folder of pictures, received: data.name="
                f"{name!r}, which "
                + ("is not a folder" if there else "does not exist")
            )
        self.files = picture_files(self.folder)
        if not self.files:
            raise InputError(
                f"expected pictures ({', '.join(SUFFIXES)}) in the folder, "
                f"received: data.name={name!r} with none"
            )
        self.splits = {"train": len(self.files)}
        self._decoded = {}  # (index, size) -> image, until it is loaded

    def native_size(self):
        """Side of the smallest of the first 100 pictures, rounded down to
        32, 64 or 128 pixels."""
        sides = []
        for path in self.files[:100]:
            with pictures.open_picture(path) as picture:
                sides.append(min(picture.size))
        return preprocessing.fitting_size(min(sides), min(sides))

    def positions(self, salt):
        """Where the name of each picture falls between 0 and 1.

        Args:
            salt: text; another one gives other positions.

        Returns:
            float64 array, one per file.
        """
        return np.array(
            [
                name_position(p.relative_to(self.folder), salt)
                for p in self.files
            ]
        )

    def copies(self, size):
        """Finds the pictures that are the same as another, pixel by pixel.

        All are decoded for it, and kept for `load`: two files of the same
        pixels can differ in every byte, as a PNG and a BMP do.

        Args:
            size: side of the images in pixels. What is the same at this size
                is the same to a model.

        Returns:
            list of indices into `files`, without that of the file with the
            shortest name (the first of the shortest) in each group.
        """
        groups = collections.defaultdict(list)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                for index, image in enumerate(
                    pool.map(
                        lambda path: pictures.read_square(path, size),
                        self.files,
                    )
                ):
                    self._decoded[index, size] = image
                    groups[digests(image[None])[0]].append(index)
            except InputError:
                # The first that is broken ends it, not the last.
                pool.shutdown(cancel_futures=True)
                raise
        copies = []
        for group in groups.values():
            group.sort(key=lambda i: (len(str(self.files[i])), i))
            copies += group[1:]
        return copies

    def load(self, wanted, size):
        """Decodes pictures; see `TfdsImages.load`. Always three channels."""
        loaded = {}
        for split, indices in wanted.items():
            images = np.empty((len(indices), size, size, 3), np.uint8)
            for row, index in enumerate(indices):
                # Given away one by one: all of them twice may be too many.
                image = self._decoded.pop((index, size), None)
                if image is None:
                    image = pictures.read_square(self.files[index], size)
                images[row] = image
            loaded[split] = images
        self._decoded.clear()
        return loaded


def name_position(name, salt):
    """Where a file's name falls between 0 and 1: the first 8 bytes of the
    SHA-256 of `SALT/NAME`, as a fraction.

    The suffix does not count, so that a picture falls with its copies of
    other formats and stays when it is converted. The folders above it do:
    in `0001/photo.png`, `0002/photo.png` the file's own name tells nothing.
    A name, and not the pixels, because it is the same on every machine and at
    every size, and stays when a picture is retouched.

    Names that file systems take for one, in upper and lower case or with
    accents composed in two ways, fall on one position.

    Args:
        name: `Path`, relative to the folder of the data set.
        salt: text.

    Returns:
        float.
    """
    text = name.with_suffix("").as_posix()
    text = unicodedata.normalize("NFC", text).casefold()
    text = unicodedata.normalize("NFC", text)
    digest = hashlib.sha256(f"{salt}/{text}".encode("utf8", "surrogateescape"))
    return int.from_bytes(digest.digest()[:8]) / 2**64
