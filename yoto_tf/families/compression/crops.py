"""From pictures of any size to the squares of training and scoring."""

import dataclasses

import numpy as np
import tensorflow as tf

from yoto_tf.data import cuts
from yoto_tf.data import folder
from yoto_tf.data import splits
from yoto_tf.data import tfds_images
from yoto_tf.data import tfds_pixels
from yoto_tf.data.pictures import MAX_PIXELS
from yoto_tf.data.pictures import open_picture
from yoto_tf.errors import InputError
from yoto_tf.examples import Examples
from yoto_tf.examples import Splits

# Side in pixels at which copies are looked for: no two shots of a camera are
# the same there.
_COMPARED = 64


class Cells(Examples):
    """Squares of pictures, of which each is drawn from several times an
    epoch: their number is that of the crops.

    Args:
        x: `(n, size, size, 3)` uint8.
        crops: of each in an epoch.
    """

    def __init__(self, x, crops=1):
        super().__init__(x)
        self.crops = crops

    def __len__(self):
        return len(self.x) * self.crops


def load_cells(config):
    """Reads pictures, cuts them in three parts and each into cells.

    Args:
        config: `CropsConfig`.

    Returns:
        `Splits`: `train` as `Cells`, the others as uint8 arrays `(n, size,
        size, 3)`.

    Raises:
        InputError: for data that are not there, damaged, or too few pictures
            that are large enough.
    """
    if splits.is_folder(config.name):
        if config.data_dir is not None:
            raise InputError(
                "expected data_dir unset for a folder of pictures, where it "
                f"has no effect, received: data_dir={config.data_dir!r}"
            )
        source = _Folder(config.name, config.split_seed, config.cell_size)
    else:
        source = _Tfds(config.name, config.data_dir, config.split_seed)
    test, validation, train = source.parts(config)
    if not len(train):
        raise InputError(
            f"expected {config.test_pictures + config.validation_pictures + 1} "
            f"pictures or more of {config.cell_size} pixels a side or more "
            "(data.cell_size), to train on, watch and test, received: "
            f"data.name={config.name!r} with {source.num}"
        )
    size, left_out = config.cell_size, source.small
    loaded = {}
    for part, chosen in (
        ("train", train[: config.train_pictures]),
        ("validation", validation),
        ("test", test),
    ):
        cells, small = _all_cells(source.read(chosen), size)
        left_out += small
        loaded[part] = source.scaled(cells)
        if not len(cells) and (part == "train" or len(chosen)):
            raise InputError(
                f"expected {part} pictures of {size} pixels a side or more, "
                f"data.cell_size, received: data.name={config.name!r} with "
                f"{small} smaller ones and no other"
            )
    notes = source.notes
    if left_out:
        notes += (
            f"{left_out} pictures with a side below data.cell_size={size} are "
            "left out",
        )
    train = Cells(loaded["train"], config.crops_per_cell)
    test = loaded["test"]
    if len(test) < 2:
        # A mean has an error of two or more.
        raise InputError(
            "expected two or more test cells, received: "
            f"{len(test)}; data.test_pictures has more"
        )
    return Splits(
        train=train,
        validation=loaded["validation"],
        test=test,
        version=source.version,
        num_examples={"train": len(train.x)}
        | {n: len(loaded[n]) for n in ("validation", "test")},
        notes=notes,
        name=config.name,
        noun="crops",
    )


def training_crops(cells, batch_size, crop_size, seed, first_epoch):
    """Endless batches of crops, turned left to right half of the time.

    Args:
        cells: `Cells`.
        batch_size: crops per batch.
        crop_size: their side.
        seed: of order, places and turns, which follow from it and the epoch.
        first_epoch: the epoch to begin with.

    Returns:
        `tf.data.Dataset` of uint8 `(batch_size, crop_size, crop_size, 3)`.
    """
    images = tf.convert_to_tensor(cells.x)
    num, steps = len(cells.x), len(cells) // batch_size
    most = images.shape[1] - crop_size + 1

    def epoch_batches(epoch):
        epoch_seed = tf.stack([tf.cast(seed, tf.int64), epoch])
        seeds = tf.random.split(epoch_seed, steps + 1)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(cells)) % num, seeds[-1]
        )
        order = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        return tf.data.Dataset.from_tensor_slices((order, seeds[:-1]))

    def batch(indices, step_seed):
        first, second = tf.unstack(tf.random.split(step_seed, 2))
        corners = tf.random.stateless_uniform(
            (batch_size, 2), first, 0, most, tf.int32
        )
        turns = tf.random.stateless_uniform(
            (batch_size,), second, 0, 2, tf.int32
        )

        def crop(given):
            index, corner, turned = given
            top, left = tf.unstack(corner)
            found = images[
                index, top : top + crop_size, left : left + crop_size
            ]
            return tf.where(turned > 0, found[:, ::-1], found)

        shape = (batch_size, crop_size, crop_size, 3)
        crops = tf.map_fn(
            crop, (indices, corners, turns), fn_output_signature=tf.uint8
        )
        return tf.ensure_shape(crops, shape)

    return (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(epoch_batches)
        .map(batch, num_parallel_calls=2)
        .prefetch(4)
    )


def cells_of(picture, size):
    """Squares that cover a picture, as few and as evenly as can be.

    Args:
        picture: `(height, width, 3)`.
        size: their side.

    Returns:
        list of `(size, size, 3)`; none of a picture with a shorter side.
    """
    height, width, _ = picture.shape
    if min(height, width) < size:
        return []
    return [
        picture[top : top + size, left : left + size]
        for top in _starts(height, size)
        for left in _starts(width, size)
    ]


def _starts(side, size):
    num = -(-side // size)
    return np.rint(np.linspace(0, side - size, num)).astype(int)


def _all_cells(pictures, size):
    """The cells of pictures, and how many pictures were too small."""
    found, small = [np.zeros((0, size, size, 3), "uint8")], 0
    for picture in pictures:
        cells = cells_of(picture, size)
        small += not cells
        found += [np.stack(cells)] if cells else []
    return np.concatenate(found), small


@dataclasses.dataclass
class _Source:
    """Pictures in an order that decides their parts."""

    num: int
    version: str
    order: np.ndarray
    small: int = 0  # left out before the cut
    notes: tuple = ()
    # Sorted; pictures of one place stay on one side. None: all differ.
    places: np.ndarray | None = None

    def parts(self, config):
        """Indices of the test, validation and training pictures."""
        first = self._cut(config.test_pictures)
        second = first + config.validation_pictures
        if config.validation_pictures:
            second = self._cut(second)
        return (
            self.order[:first],
            self.order[first:second],
            self.order[second:],
        )

    def _cut(self, num):
        if self.places is None or num >= len(self.order):
            # Too few: whoever asks says it.
            return num
        return cuts.beside(self.places, num)

    def scaled(self, cells):
        """The cells of a part in 0..255."""
        return cells


class _Folder(_Source):
    """Cut by hashes of names, copies left out: see
    `yoto_tf.data.cuts.cut_by_name`."""

    def __init__(self, name, seed, size):
        self._images = folder.FolderImages(name)
        positions = self._images.positions(f"{seed} test")
        copies, notes = cuts.copies_of(self._images, _COMPARED)
        order = np.argsort(positions, kind="stable")
        order = order[~np.isin(order, copies)]
        large = []
        for index in order:
            with open_picture(self._images.files[index]) as picture:
                large.append(min(picture.size) >= size)
        order = order[np.array(large, bool)]
        small = len(large) - len(order)
        version = self._images.version
        super().__init__(
            len(order), version, order, small, notes, positions[order]
        )

    def read(self, chosen):
        from yoto_tf.compression.picture_files import read_picture

        for index in chosen:
            yield read_picture(
                self._images.files[index], MAX_PIXELS, alpha="drop"
            ).rgb


class _Tfds(_Source):
    """The split `train` alone, cut by places."""

    def __init__(self, name, data_dir, seed):
        self._images = tfds_images.TfdsImages(name, data_dir)
        num = self._images.splits["train"]
        order = np.random.default_rng(seed).permutation(num)
        super().__init__(num, self._images.version, order)

    def read(self, chosen):
        for picture in self._images.pictures("train", chosen):
            yield np.broadcast_to(picture, (*picture.shape[:2], 3))

    def scaled(self, cells):
        dtype = self._images.feature.np_dtype
        return tfds_pixels.without_binary(cells, dtype)
