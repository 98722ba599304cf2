"""Which images, as settings say it. Imports no TensorFlow."""

from dataclasses import dataclass
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config

IMAGE_SIZES = (32, 64, 128)


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """Which images, at which size, in which split."""

    name: str = "rendered_shapes3d"
    """A TFDS data set with an `image` feature (`cifar10`, `shapes3d`,
    `rendered_shapes3d`, `NAME/CONFIG`, ...) or a folder of pictures."""
    data_dir: str | None = None
    """Where TFDS keeps its data; unset: TFDS_DATA_DIR or TFDS' default."""
    image_size: Literal[32, 64, 128] | None = None
    """Height and width in pixels; unset: that of the images, rounded down to
    32, 64 or 128."""
    train_examples: int | None = None
    """Use so many training images; unset: all."""
    validation_examples: int = 1000
    """Training images held out to watch the run with (seeded, disjoint); a
    tenth of them at most, about a tenth of a folder's."""
    test_examples: int | None = None
    """Size of the test split that is cut from data sets with one split only
    (seeded, disjoint); unset: a tenth of them, 10,000 at most, and about a
    tenth of a folder's pictures, by their names. Of one with a test split
    it is the first so many of that, in their order, or all."""
    split_seed: int = 0
    """Seed of the cuts above. Not the seed of the run: two runs with
    different seeds are compared on the same test images."""
    augmentation: Literal["none", "crop_flip"] = "none"
    """`crop_flip`: resize to 5/4, random crop, random left-right flip (the
    authors' CIFAR-10 setting: 40, then 32)."""

    def _check(self):
        if not self.name:
            raise InputError(
                "expected name to be a TFDS data set or a folder, "
                f"received: name={self.name!r}"
            )
        self._positive("train_examples")
        if self.test_examples is not None and self.test_examples < 2:
            raise InputError(
                "expected test_examples of 2 or more, which error bars take, "
                f"received: test_examples={self.test_examples}"
            )
        self._not_negative("validation_examples")
        self._seeds("split_seed")
