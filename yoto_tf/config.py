"""What an experiment is made of: frozen dataclasses, validated at birth.

The same classes are the command line of `training.train` (through tyro), the
content of a run's `config.json` and the arguments of the models. This module
imports no TensorFlow, so that a command line answers at once.
"""

from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.loss_config import BetaConfig
from yoto_tf.loss_config import ObjectiveConfig
from yoto_tf.loss_config import ParameterConfig
from yoto_tf.model_config import ModelConfig
from yoto_tf.settings import Settings
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
    tenth of a folder's pictures, by their names."""
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
        self._not_negative("validation_examples", "split_seed")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Config):
    """The fixed grid on which a run is scored."""

    betas: tuple[float, ...] = tuple(2.0**k for k in range(-3, 10))
    """Betas of `curve.csv`."""
    watched_betas: tuple[float, ...] = (1.0, 16.0, 256.0)
    """Betas at which the validation images are scored after each epoch."""

    def _check(self):
        for name in ("betas", "watched_betas"):
            values = getattr(self, name)
            if not values or not all(v > 0 for v in values):
                raise InputError(
                    f"expected {name} above 0, received: {name}={values}"
                )


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(Settings):
    """One training run: everything that decides its outcome.

    Example:
        config = yoto_tf.ExperimentConfig()
        yoto_tf.ExperimentConfig.from_dict(config.to_dict()) == config
    """

    family: str = "vae"
    """Whose model it is: one of ours, or your own as module:name."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    beta: BetaConfig = field(default_factory=BetaConfig)
    further: tuple[ParameterConfig, ...] = ()
    """Further loss parameters, of a model that has terms for them."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
