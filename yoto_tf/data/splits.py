"""Train, validation and test images of any data set, as uint8 arrays."""

import dataclasses
from pathlib import Path

import numpy as np

from yoto_tf.data import folder
from yoto_tf.data import tfds_images
from yoto_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class ImageSplits:
    """Disjoint images, each `(n, size, size, channels)` uint8.

    `validation` may be empty; `train` and `test` are not.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def image_shape(self):
        """`(size, size, channels)`."""
        return self.test.shape[1:]


def load_images(config, parts=("train", "test")):
    """Loads and splits the images that a `DataConfig` names.

    A TFDS data set that has a `test` split keeps it; of one that has not, and
    of a folder, a seeded part is cut for testing. Validation images are cut
    from the training images, by the same seed.

    Args:
        config: `yoto_tf.config.DataConfig`.
        parts: what is needed, of `train` and `test`; a part that is not
            needed comes back empty, and is not decoded if its split is
            stored apart.

    Returns:
        `ImageSplits`.

    Raises:
        InputError: if the data set is unknown, empty, too small for its
            cuts, or cannot be downloaded.
    """
    if is_folder(config.name):
        source = folder.FolderImages(config.name)
    else:
        source = tfds_images.TfdsImages(config.name, config.data_dir)
    size = config.image_size or source.native_size()
    rng = np.random.default_rng(config.split_seed)
    if "test" in source.splits:
        order = rng.permutation(source.splits["train"])
        train_index = order
        test_index = np.arange(source.splits["test"])[: config.test_examples]
        test_split = "test"
    else:
        total = source.splits["train"]
        order = rng.permutation(total)
        num_test = config.test_examples or min(total // 10, 10_000)
        if total and not 0 < num_test < total:
            raise InputError(
                "expected test_examples to leave images to train on, "
                f"received: test_examples={num_test} of {total} images in "
                f"{config.name}"
            )
        test_index, train_index = order[:num_test], order[num_test:]
        test_split = "train"
    if not len(train_index) or not len(test_index):
        raise InputError(
            "expected a data set with training and test images, received: "
            f"{config.name} with {len(train_index)} and {len(test_index)}"
        )
    # Small collections of pictures should train on nearly all they have.
    num_validation = min(config.validation_examples, len(train_index) // 10)
    validation_index = train_index[:num_validation]
    train_index = train_index[num_validation:][: config.train_examples]
    if "train" not in parts:
        train_index, validation_index = train_index[:0], validation_index[:0]
    if "test" not in parts:
        test_index = test_index[:0]
    wanted = {"train": [train_index, validation_index]}
    wanted.setdefault(test_split, []).append(test_index)
    loaded = source.load(
        {s: np.concatenate(i) for s, i in wanted.items()}, size
    )
    num_train = len(train_index)
    rest = loaded["train"][num_train:]
    return ImageSplits(
        train=loaded["train"][:num_train],
        validation=rest[: len(validation_index)],
        test=(
            loaded["test"]
            if test_split == "test"
            else rest[len(validation_index) :]
        ),
    )


def is_folder(name):
    """Whether a data set's name is a folder of pictures.

    A folder in the working directory that happens to be called like a data
    set of TFDS is not; `./cifar10` says that it is.
    """
    if name.startswith((".", "/", "~")):
        return True
    return Path(name).is_dir() and not tfds_images.is_known(name)
