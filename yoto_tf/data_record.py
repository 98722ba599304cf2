"""What a run, or a search, keeps of the images it was trained on.

    DIR/data.json            version, shape, number of images, fingerprint
    DIR/trained_images.npy   a number for every image that was trained on

So that one that continues later continues on the same images, and none is
scored on images that it has seen.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from yoto_tf.errors import InputError
from yoto_tf.files import written_whole


def digests(images):
    """A number for each image: the same for the same pixels, else another.

    Args:
        images: `(n, height, width, channels)` uint8.

    Returns:
        `(n,)` uint64: the first 8 bytes of the SHA-256.
    """
    images = np.ascontiguousarray(images)
    parts = (hashlib.sha256(image).digest()[:8] for image in images)
    return np.frombuffer(b"".join(parts), ">u8").astype(np.uint64)


def fingerprint(images):
    """A text for images in their order: 16 hexadecimal digits.

    Args:
        images: as of `digests`, or their digests.
    """
    numbers = images if images.dtype == np.uint64 else digests(images)
    return hashlib.sha256(numbers.astype(">u8").tobytes()).hexdigest()[:16]


class DataRecord:
    """The record in one directory.

    Args:
        folder: of a run or a search.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.facts_file = self.folder / "data.json"
        self.digests_file = self.folder / "trained_images.npy"

    def write(self, images):
        """Keeps what there is to know of `ImageSplits`, `train` loaded."""
        with written_whole(self.digests_file) as aside:
            np.save(aside, images.trained_digests)
        content = {
            "version": images.version,
            "own_test_split": images.own_test,
            "image_shape": list(images.image_shape),
            "num_examples": images.num_examples,
            "fingerprint": fingerprint(images.trained_digests),
        }
        # Last: where it is, the other is, too.
        with written_whole(self.facts_file) as aside:
            aside.write_text(json.dumps(content, indent=2) + "\n")

    def read(self):
        """Returns `data.json` as a dict, None if there is no record, as in
        directories of earlier versions.

        Raises:
            InputError: if it is damaged.
        """
        if not self.facts_file.is_file():
            return None
        try:
            content = json.loads(self.facts_file.read_text())
            if not {"version", "num_examples", "fingerprint"} <= set(content):
                raise ValueError("entries are missing")
            return content
        except (ValueError, TypeError) as error:
            raise InputError(
                "expected a data.json of this version, received: "
                f"{self.facts_file}, which cannot be used ({error})"
            ) from error

    def read_digests(self):
        """Returns the `digests` of all images that were trained or validated
        on, in their order.

        Raises:
            InputError: if the file is missing or damaged.
        """
        try:
            return np.load(self.digests_file)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"expected {self.digests_file.name} beside data.json, "
                f"received: {self.digests_file}, which cannot be read "
                f"({error})"
            ) from error

    def differences(self, images):
        """Says in which facts `ImageSplits` differ from the record.

        Returns:
            list of texts `NEW in place of OLD`; empty without a record.
        """
        known = self.read()
        if known is None:
            return []
        found = []
        if images.version != known["version"]:
            found.append(f"{images.version} in place of {known['version']}")
        shape = list(images.image_shape)
        if shape != known["image_shape"]:
            found.append(f"shape {shape} in place of {known['image_shape']}")
        for part, number in images.num_examples.items():
            before = known["num_examples"].get(part)
            if number != before:
                found.append(f"{number} {part} images in place of {before}")
        return found

    def begin_or_continue(self, images, begun, log):
        """Makes the record, or compares `ImageSplits` with the one there is.

        Args:
            images: `ImageSplits`, `train` loaded.
            begun: whether something was trained already; then a missing
                record is said, not made.
            log: called with a sentence.

        Raises:
            InputError: as of `require_same`.
        """
        if self.read() is not None:
            self.require_same(images)
        elif begun:
            log(
                f"{self.folder} has no record of its data, as those of earlier "
                "versions: whether these are the same is not known"
            )
        else:
            self.write(images)

    def require_same(self, images):
        """Refuses `ImageSplits`, `train` loaded, of other images.

        Raises:
            InputError: naming what differs, if there is a record and its
                images are not these, in this order.
        """
        known = self.read()
        if known is None:
            return
        found = self.differences(images)
        numbers = images.trained_digests
        if not found and fingerprint(numbers) != known["fingerprint"]:
            others = (~np.isin(numbers, self.read_digests())).sum()
            found = [
                f"{others} other training or validation images"
                if others
                else "the same images in another order"
            ]
        if found:
            raise InputError(
                f"expected the images that {self.folder} was begun with, "
                f"received: {', '.join(found)}; bring those back, or begin "
                "anew in another directory"
            )

    def seen(self, images):
        """Which images were trained or validated on, pixel by pixel.

        Args:
            images: `(n, height, width, channels)` uint8.

        Returns:
            `(n,)` bool.
        """
        return np.isin(digests(images), self.read_digests())
