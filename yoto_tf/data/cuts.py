"""Which images of a data set are for training, validation and testing."""

import dataclasses

import numpy as np

from yoto_tf.data.listing import passed_over
from yoto_tf.errors import InputError

_SHARE = 0.1
# Fewer have no spread, and so no error bars.
_FEWEST_TESTED = 2


@dataclasses.dataclass(frozen=True)
class Cut:
    """Disjoint indices of images.

    Attributes:
        train, validation: int arrays, into the split `train`.
        test: into the split `test_split`.
        test_split: `train`, or `test` where that is stored apart.
        notes: sentences for the user.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    test_split: str = "train"
    notes: tuple = ()


def cut_by_place(sizes, config):
    """Cuts a data set whose images have fixed places, as those of TFDS.

    Args:
        sizes: dict, split -> number of images.
        config: `DataConfig`.

    Returns:
        `Cut`. A split `test` is kept; otherwise a seeded tenth is cut, 10,000
        at most.

    Raises:
        InputError: if there are too few images.
    """
    order = np.random.default_rng(config.split_seed).permutation(sizes["train"])
    if "test" in sizes:
        test, train = np.arange(sizes["test"])[: config.test_examples], order
        _require(len(train), 1, "training images", config)
        _require(len(test), _FEWEST_TESTED, "test images", config)
    else:
        num_test = config.test_examples or max(
            _FEWEST_TESTED, min(len(order) // 10, 10_000)
        )
        _require(len(order), num_test + 1, _to_share(num_test), config)
        test, train = order[:num_test], order[num_test:]
    # Small collections should train on nearly all they have.
    num_validation = min(config.validation_examples, len(train) // 10)
    return Cut(
        train=train[num_validation:][: config.train_examples],
        validation=train[:num_validation],
        test=test,
        test_split="test" if "test" in sizes else "train",
        notes=_fewer(config, len(train) - num_validation, len(test)),
    )


def cut_by_name(folder, config, size):
    """Cuts a folder of pictures by hashes of their names.

    A picture is tested on if the hash of its name falls into the lowest tenth,
    whatever else is in the folder: one that is added, removed or renamed moves
    no other into the test. Of the others a tenth, by another hash, are for
    validation, `config.validation_examples` at most. A given
    `config.test_examples` takes the lowest so many: then a picture can move
    for every one that comes or goes.

    The name is the path below the folder without its suffix: a picture and its
    copy in another format fall on one side, and one that is converted stays.
    Of a folder that is renamed every picture has another name.

    Pictures that are the same pixel by pixel, as the model gets them, count
    once, by the shortest of their names: that of the original, most often.
    Copies that lost something on their way, as JPEG does, cannot be told from
    other pictures.

    Args:
        folder: `FolderImages`.
        config: `DataConfig`.
        size: side of the model's images in pixels.

    Returns:
        `Cut`, its indices in the order of the hashes.

    Raises:
        InputError: if there are too few pictures.
    """
    positions = folder.positions(f"{config.split_seed} test")
    copies, notes = copies_of(folder, size)
    order = np.argsort(positions, kind="stable")
    order = order[~np.isin(order, copies)]
    num_low = int((positions[order] < _SHARE).sum())
    num_test = config.test_examples or max(
        _FEWEST_TESTED, min(num_low, len(order) // 2)
    )
    less = f" and {len(copies)} copies" if copies else ""
    _require(len(order), num_test + 1, _to_share(num_test), config, less)
    num_test = beside(positions[order], num_test)
    test, train = order[:num_test], order[num_test:]
    others = folder.positions(f"{config.split_seed} validation")
    watched = train[np.argsort(others[train], kind="stable")]
    num_validation = min(
        config.validation_examples,
        int((others[train] < _SHARE).sum()),
        # Of a few it could be all.
        len(train) // 5,
    )
    if num_validation:
        num_validation = beside(others[watched], num_validation)
    validation = watched[:num_validation]
    train = train[~np.isin(train, validation)]
    notes = (*passed_over(folder.folder), *notes)
    notes = (*notes, *_fewer(config, len(train), len(test)))
    return Cut(train[: config.train_examples], validation, test, notes=notes)


def _fewer(config, num_train, num_test):
    """Sentences on counts that are more than there is."""
    return tuple(
        f"{name}={asked}: there are {there}"
        for name, asked, there in (
            ("train_examples", config.train_examples, num_train),
            ("test_examples", config.test_examples, num_test),
        )
        if asked and asked > there
    )


def beside(places, num):
    """Where sorted places may be cut, near `num`: formats of one picture have
    one place, and stay together. The next such, or the last if all behind are
    of one picture."""
    ends = np.flatnonzero(np.diff(places)) + 1
    later = ends[ends >= num]
    if len(later):
        return int(later[0])
    return int(ends[-1]) if len(ends) else num


def copies_of(folder, size):
    """The pictures of a folder that count by another, and notes on them.

    Args:
        folder: `FolderImages`.
        size: see `FolderImages.copies`.

    Returns:
        `(indices, notes)`.
    """
    copies = folder.copies(size)
    if not copies:
        return copies, ()
    return copies, (
        f"{len(copies)} of {len(folder.files)} pictures are copies of others, "
        f"pixel by pixel at {size}x{size}, and left out",
    )


def _require(num, needed, what, config, less=""):
    if num < needed:
        raise InputError(
            f"expected {needed} {what} or more in data.name={config.name!r}, "
            f"received: {num}{less}"
        )


def _to_share(num_test):
    return f"images ({num_test} to test on, 1 to train on)"
