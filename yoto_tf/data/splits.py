"""Train, validation and test images of any data set, as uint8 arrays."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from yoto_tf.data import cuts
from yoto_tf.data import folder
from yoto_tf.data import tfds_images
from yoto_tf.data_record import digests


@dataclasses.dataclass(frozen=True)
class ImageSplits:
    """Disjoint images, each `(n, size, size, channels)` uint8.

    `validation` may be empty; `train` and `test` are not.

    Attributes:
        train, validation, test: the images.
        version: `name/config/1.0.0` of a TFDS data set, or `folder`.
        num_examples: dict, part -> number of its images, those of parts that
            were not loaded included.
        own_test: whether the data set has a test split of its own.
        notes: sentences on what was done with the images.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    version: str = ""
    num_examples: dict = dataclasses.field(default_factory=dict)
    own_test: bool = False
    notes: tuple = ()

    @property
    def image_shape(self):
        """`(size, size, channels)`."""
        return self.test.shape[1:]

    @functools.cached_property
    def trained_digests(self):
        """`digests` of the training images, then of the validation images."""
        return np.concatenate([digests(self.train), digests(self.validation)])


def load_images(config, parts=("train", "test")):
    """Loads and splits the images that a `DataConfig` names.

    A TFDS data set that has a `test` split keeps it; of one that has not a
    seeded part is cut for testing, and validation images are cut from the
    training images, by the same seed. The pictures of a folder are cut by
    their names: see `cuts.cut_by_name`.

    Args:
        config: `yoto_tf.config.DataConfig`.
        parts: what is needed, of `train` and `test`; a part that is not
            needed comes back empty, and is not decoded if its split is
            stored apart.

    Returns:
        `ImageSplits`.

    Raises:
        InputError: if the data set is unknown, empty, too small for its
            cuts, not of images, damaged, or cannot be downloaded.
    """
    if is_folder(config.name):
        source = folder.FolderImages(config.name)
        cut = cuts.cut_by_name(source, config)
    else:
        source = tfds_images.TfdsImages(config.name, config.data_dir)
        cut = cuts.cut_by_place(source.splits, config)
    size = config.image_size or source.native_size()
    train, validation, test = cut.train, cut.validation, cut.test
    if "train" not in parts:
        train, validation = train[:0], validation[:0]
    if "test" not in parts:
        test = test[:0]
    wanted = {"train": [train, validation]}
    wanted.setdefault(cut.test_split, []).append(test)
    loaded = source.load(
        {s: np.concatenate(i) for s, i in wanted.items()}, size
    )
    rest = loaded["train"][len(train) :]
    return ImageSplits(
        train=loaded["train"][: len(train)],
        validation=rest[: len(validation)],
        test=(
            loaded["test"]
            if cut.test_split == "test"
            else rest[len(validation) :]
        ),
        version=source.version,
        num_examples={
            "train": len(cut.train),
            "validation": len(cut.validation),
            "test": len(cut.test),
        },
        own_test=cut.test_split == "test",
        notes=cut.notes,
    )


def is_folder(name):
    """Whether a data set's name is a folder of pictures.

    A folder in the working directory that happens to be called like a data
    set of TFDS is not; `./cifar10` says that it is.
    """
    if name.startswith((".", "/", "~")):
        return True
    return _is_directory(name) and not tfds_images.is_known(name)


def _is_directory(name):
    try:
        return Path(name).is_dir()
    except OSError:
        # A name longer than the file system has them.
        return False
