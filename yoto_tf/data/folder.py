"""A folder of pictures, with its sub-folders."""

import collections
import hashlib
import unicodedata
from pathlib import Path

import numpy as np

from yoto_tf.data import pictures
from yoto_tf.data import preprocessing
from yoto_tf.data.listing import SUFFIXES
from yoto_tf.data.listing import picture_files
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
            raise InputError(
                "expected a folder of pictures, received: "
                f"data.name={name!r}, which is not a folder"
            )
        self.files = picture_files(self.folder)
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

    def copies(self):
        """Finds the files that are the same as another, byte by byte.

        Returns:
            list of indices into `files`, without that of the file with the
            shortest name (the first of the shortest) in each group.
        """
        by_size = collections.defaultdict(list)
        for index, path in enumerate(self.files):
            by_size[_read(path, lambda p: p.stat().st_size)].append(index)
        copies = []
        for indices in by_size.values():
            by_content = collections.defaultdict(list)
            # Files of a size of their own need not be read.
            for index in indices if len(indices) > 1 else ():
                by_content[_read(self.files[index], _digest)].append(index)
            for group in by_content.values():
                group.sort(key=lambda i: (len(str(self.files[i])), i))
                copies += group[1:]
        return copies

    def load(self, wanted, size):
        """Decodes pictures; see `TfdsImages.load`. Always three channels."""
        loaded = {}
        for split, indices in wanted.items():
            images = np.empty((len(indices), size, size, 3), np.uint8)
            for row, index in enumerate(indices):
                images[row] = pictures.read_square(self.files[index], size)
            loaded[split] = images
        return loaded


def name_position(name, salt):
    """Where a file's name falls between 0 and 1: the first 8 bytes of the
    SHA-256 of `SALT/NAME`, as a fraction.

    Names that file systems take for one, in upper and lower case or with
    accents composed in two ways, fall on one position.

    Args:
        name: `Path`, relative to the folder of the data set.
        salt: text.

    Returns:
        float.
    """
    text = unicodedata.normalize("NFC", name.as_posix()).casefold()
    text = unicodedata.normalize("NFC", text)
    digest = hashlib.sha256(f"{salt}/{text}".encode("utf8", "surrogateescape"))
    return int.from_bytes(digest.digest()[:8]) / 2**64


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _read(path, how):
    try:
        return how(path)
    except OSError as error:
        raise InputError(
            "expected pictures that can be read, received: "
            f"{path} ({error.strerror})"
        ) from error
