"""Train, validation and test images of any data set, as uint8 arrays."""

from pathlib import Path

import numpy as np

from yoto_tf.data import cuts
from yoto_tf.data import folder
from yoto_tf.data import tfds_images
from yoto_tf.errors import InputError
from yoto_tf.examples import Splits

# Photographs at dusk reach it.
_DARK = 64


def load_images(config, parts=("train", "test")):
    """Loads and splits the images that a `DataConfig` names.

    A TFDS data set that has a `test` split keeps it; of one that has not a
    seeded part is cut for testing, and validation images are cut from the
    training images, by the same seed. The pictures of a folder are cut by
    their names: see `cuts.cut_by_name`.

    Args:
        config: `yoto_tf.image_config.DataConfig`.
        parts: what is needed, of `train` and `test`; a part that is not
            needed comes back empty, and is not decoded if its split is
            stored apart. Of a folder all are decoded, to find copies.

    Returns:
        `Splits` of uint8 arrays `(n, size, size, channels)`.

    Raises:
        InputError: if the data set is unknown, empty, too small for its
            cuts, not of images, damaged, or cannot be downloaded.
    """
    if is_folder(config.name):
        if config.data_dir is not None:
            raise InputError(
                "expected data_dir unset for a folder of pictures, where it "
                f"has no effect, received: data_dir={config.data_dir!r} and "
                f"name={config.name!r}"
            )
        source = folder.FolderImages(config.name)
        size = config.image_size or source.native_size()
        cut = cuts.cut_by_name(source, config, size)
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
    images = loaded["train"][: len(train)]
    rest = loaded["train"][len(train) :]
    return Splits(
        train=images,
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
        notes=(*_other(config.name), *cut.notes, *_dark(images)),
        name=config.name,
        noun="images",
    )


def _dark(images):
    """A note on images that are all but black, as those of 12 bits in a file
    of 16 are."""
    brightest = images.max(initial=0)
    if not images.size or brightest >= _DARK:
        return ()
    return (
        f"the brightest pixel of the training images is {brightest} of 255: "
        "if they are meant to be brighter, scale them to the whole range of "
        "their data type",
    )


def load_factors(config):
    """Loads the labels of what the test images differ by.

    Args:
        config: as of `load_images`.

    Returns:
        dict, name -> `(n,)` integers, in the order of `load_images`' test
        part; None: the data tell of none.

    Raises:
        InputError: as of `load_images`.
    """
    if is_folder(config.name):
        return None
    source = tfds_images.TfdsImages(config.name, config.data_dir)
    cut = cuts.cut_by_place(source.splits, config)
    return source.factors(cut.test_split, cut.test)


def _other(name):
    """A sentence where a name is that of a folder, too."""
    if is_folder(name) or not _is_directory(name):
        return ()
    return (f"{name} is TFDS's; ./{name} is the folder of that name",)


def is_folder(name):
    """Whether a data set's name is a folder of pictures.

    A folder in the working directory that happens to be called like a data
    set of TFDS is not; `./cifar10` says that it is.
    """
    if name.startswith((".", "/", "~")):
        return True
    return _is_directory(name) and not tfds_images.is_known(name)


def is_here(data):
    """Whether loading pictures needs no download.

    Args:
        data: settings with `name` and `data_dir`.
    """
    return (
        is_folder(data.name)
        # Refused where it is loaded.
        or not tfds_images.is_known(data.name)
        or tfds_images.is_prepared(data.name, data.data_dir)
    )


def _is_directory(name):
    try:
        return Path(name).is_dir()
    except OSError:
        # A name longer than the file system has them.
        return False
