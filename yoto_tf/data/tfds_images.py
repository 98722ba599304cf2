"""The `image` feature of any TFDS data set."""

import contextlib
import os
import re
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

# Registers `rendered_shapes3d` with TFDS.
import yoto_tf.data.rendered_shapes3d  # noqa: F401
from yoto_tf.data import preprocessing
from yoto_tf.data import tfds_pixels
from yoto_tf.errors import InputError

# `huggingface:mnist`, `kubric:kubric_frames`: communities' data sets.
_OF_OTHERS = re.compile(r"[a-z]\w*:[a-z]", re.I)


def is_known(name):
    """Whether TFDS has a data set called `name`."""
    known = tfds.list_builders(with_community_datasets=False)
    return name.split("/")[0].split(":")[0] in known


def is_prepared(name, data_dir=None):
    """Whether a data set of TFDS is on this machine, ready to be read."""
    try:
        return _builder(name, data_dir).is_prepared()
    except InputError:
        return False


class TfdsImages:
    """A TFDS data set, downloaded and prepared on first use.

    Args:
        name: as `tfds.load` takes it.
        data_dir: where TFDS keeps its data; None: TFDS_DATA_DIR or its
            default.

    Raises:
        InputError: if TFDS has no such data set, it has no images, or it
            cannot be prepared.
    """

    def __init__(self, name, data_dir=None):
        self.name = name
        self.builder = _builder(name, data_dir)
        # Before what may be a download of hours.
        features = self.builder.info.features
        # That of a data set of sequences looks like a dict, and is none.
        is_dict = isinstance(features, tfds.features.FeaturesDict)
        names = sorted(features) if is_dict else []
        if "image" not in names:
            raise InputError(
                "expected a data set with an 'image' feature, received: "
                f"data.name={name!r} with {names}"
            )
        self.feature = features["image"]
        tfds_pixels.check_feature(self.feature, name)
        self._prepare()
        self.splits = {
            s: info.num_examples for s, info in self.builder.info.splits.items()
        }
        if "train" not in self.splits:
            raise InputError(
                "expected a data set with a 'train' split, received: "
                f"data.name={name!r} with {sorted(self.splits)}"
            )

    @property
    def version(self):
        """`name/config/1.0.0`: another version may hold other images, or the
        same in another order."""
        return self.builder.info.full_name

    def _prepare(self):
        try:
            self.builder.download_and_prepare()
        except Exception as error:
            # Each data set has code of its own: no network, no room or right
            # to write, a manual download or a library that is missing.
            raise InputError(
                f"expected {self.name} prepared in {self.builder.data_dir}, "
                "or a network to download it with, received: "
                f"{type(error).__name__}: {_first_line(error)}"
            ) from error

    def native_size(self):
        """Side of the images, rounded down to 32, 64 or 128 pixels."""
        height, width, _ = self.feature.shape
        if height is None or width is None:
            with self._damage_reported():
                image, _ = next(iter(self._dataset("train")))
            height, width, _ = image.shape
        return preprocessing.fitting_size(height, width)

    def load(self, wanted, size):
        """Decodes images.

        Args:
            wanted: dict, split -> indices of the images.
            size: side in pixels.

        Returns:
            dict, split -> `(len(indices), size, size, channels)` uint8.

        Raises:
            InputError: if files are missing or damaged, or floats are not in
                [0, 1].
        """
        channels = 1 if self.feature.shape[-1] == 1 else 3
        loaded = {}
        for split, indices in wanted.items():
            images = np.empty((len(indices), size, size, channels), np.uint8)
            if len(indices):
                with self._damage_reported():
                    self._fill(images, split, indices, size)
            loaded[split] = tfds_pixels.without_binary(
                images, self.feature.np_dtype
            )
        return loaded

    def _fill(self, images, split, indices, size):
        # Where in `images` an example of the split goes; -1: nowhere.
        place = np.full(self.splits[split], -1)
        place[indices] = np.arange(len(indices))
        dataset = self._dataset(split).map(
            lambda image, valid: (preprocessing.to_square(image, size), valid),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        start = 0
        for batch, valid in dataset.batch(500).prefetch(2).as_numpy_iterator():
            if not valid.all():
                raise InputError(
                    "expected float images in [0, 1], received: data.name="
                    f"{self.name!r}, whose image {start + valid.argmin()} of "
                    f"the split {split!r} is not"
                )
            places = place[start : start + len(batch)]
            images[places[places >= 0]] = batch[places >= 0]
            start += len(batch)
        if start != self.splits[split]:
            raise InputError(
                f"expected {self.splits[split]} images in the split "
                f"{split!r} of {self.name}, received: {start}; {self._mend()}"
            )

    def pictures(self, split, indices):
        """Yields images at their own sizes, `(height, width, channels)` uint8,
        in the order of the split.

        Args, Raises: as of `load`, of one split.
        """
        wanted = set(map(int, indices))
        with self._damage_reported():
            dataset = self._dataset(split).as_numpy_iterator()
            for index, (image, valid) in enumerate(dataset):
                if len(wanted) == 0:
                    break
                if index not in wanted:
                    continue
                if not valid:
                    raise InputError(
                        "expected float images in [0, 1], received: data.name="
                        f"{self.name!r}, whose image {index} is not"
                    )
                wanted.discard(index)
                yield image

    def factors(self, split, indices):
        """What images are known to differ by: the features `label_NAME`, as
        `shapes3d`, `dsprites` and `rendered_shapes3d` have them.

        Args:
            split: name of it.
            indices: of the images, as of `load`.

        Returns:
            dict, name -> `(len(indices),)` labels; None: there are none.

        Raises:
            InputError: if files are missing or damaged.
        """
        names = [
            name
            for name, feature in self.builder.info.features.items()
            if name.startswith("label_")
            and feature.shape == ()
            and np.issubdtype(feature.np_dtype, np.integer)
        ]
        if not names:
            return None
        dataset = self.builder.as_dataset(
            split=split,
            read_config=_in_order(),
            # The pictures stay as they are: they need not be decoded.
            decoders={"image": tfds.decode.SkipDecoding()},
        ).map(lambda example: {name: example[name] for name in names})
        with self._damage_reported():
            batches = list(dataset.batch(1_000).as_numpy_iterator())
        return {
            name.removeprefix("label_"): np.concatenate(
                [b[name] for b in batches]
            )[indices]
            for name in names
        }

    def _dataset(self, split):
        """Yields `(image, whether its values are in their range)`."""
        dataset = self.builder.as_dataset(split=split, read_config=_in_order())
        return dataset.map(
            lambda example: tfds_pixels.to_uint8(example["image"]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    @contextlib.contextmanager
    def _damage_reported(self):
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            raise InputError(
                f"expected {self.name} whole in {self.builder.data_dir}, "
                f"received: {_first_line(error)}; {self._mend()}"
            ) from error

    def _mend(self):
        return f"remove {self.builder.data_dir} to have it prepared again"


def _in_order():
    # Files in order, so that an index always means the same image.
    return tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)


def _builder(name, data_dir):
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        raise _unknown(name) from None
    except Exception as error:
        if not is_known(name) and not _OF_OTHERS.match(name):
            # Such as `my photos`, which is no name that TFDS could parse.
            raise _unknown(name) from error
        # TFDS has many: a wrong version is an AssertionError, a wrong
        # argument a TypeError, a community's data set without network one of
        # its client's own.
        raise InputError(
            f"expected a TFDS data set, received: data.name={name!r} "
            f"({_first_line(error)})"
            + f"; ./{name} is the folder of that name"
            * Path(name).is_dir()
        ) from error


def _unknown(name):
    return InputError(
        "expected a TFDS data set or an existing folder, received: "
        f"data.name={name!r}, but there is no folder {os.path.abspath(name)}"
        " and TFDS has no data set of this name"
    )


def _first_line(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip()[:200] if lines else "no further message"
