"""Named experiments: where their numbers come from, what they cost and what
to expect of them."""

import dataclasses
from dataclasses import dataclass

from yoto_tf.config import BetaConfig
from yoto_tf.config import ConditioningConfig
from yoto_tf.config import DataConfig
from yoto_tf.config import EvaluationConfig
from yoto_tf.config import ExperimentConfig
from yoto_tf.config import ModelConfig
from yoto_tf.config import OptimizerConfig
from yoto_tf.config import TrainingConfig
from yoto_tf.errors import InputError


@dataclass(frozen=True)
class Preset:
    """A configuration and what is known of it.

    Attributes:
        summary: one line.
        source: where the numbers come from.
        cost: time and memory on two CPU cores.
        expect: what the run should show.
        config: the `ExperimentConfig`.
    """

    summary: str
    source: str
    cost: str
    expect: str
    config: ExperimentConfig


def _powers_of_two(first, last):
    return tuple(2.0**k for k in range(first, last + 1))


_RENDERED_SHAPES3D = ExperimentConfig(
    data=DataConfig(name="rendered_shapes3d", image_size=64),
    model=ModelConfig(
        likelihood="bernoulli",
        latent_size=10,
        base_channels=8,
        convs_per_block=1,
        dense_units=256,
        conditioning=ConditioningConfig(
            kind="gate", sites=("block", "dense", "posterior"), largest_map=16
        ),
    ),
    beta=BetaConfig(low=0.5, high=512.0, normalization="geometric_mean"),
    optimizer=OptimizerConfig(
        learning_rate=1e-3, schedule="cosine", warmup_steps=100
    ),
    training=TrainingConfig(epochs=12, batch_size=64),
    evaluation=EvaluationConfig(
        betas=_powers_of_two(-1, 9), watched_betas=(1.0, 16.0, 256.0)
    ),
)

_CIFAR10 = ExperimentConfig(
    data=DataConfig(name="cifar10", image_size=32),
    model=ModelConfig(
        likelihood="bernoulli",
        latent_size=256,
        base_channels=8,
        convs_per_block=2,
        dense_units=256,
        conditioning=ConditioningConfig(
            kind="sigmoid_film", sites=("block",), largest_map=8
        ),
    ),
    beta=BetaConfig(low=0.125, high=512.0, normalization="geometric_mean"),
    optimizer=OptimizerConfig(
        learning_rate=1e-3, schedule="cosine", weight_decay=1e-5
    ),
    training=TrainingConfig(epochs=100, batch_size=128),
    evaluation=EvaluationConfig(betas=_powers_of_two(-3, 9)),
)

_SHAPES3D = dataclasses.replace(
    _CIFAR10,
    data=DataConfig(
        name="shapes3d",
        image_size=64,
        train_examples=50_000,
        test_examples=10_000,
    ),
    model=dataclasses.replace(
        _CIFAR10.model,
        latent_size=20,
        convs_per_block=1,
        conditioning=dataclasses.replace(
            _CIFAR10.model.conditioning, largest_map=16
        ),
    ),
    beta=dataclasses.replace(_CIFAR10.beta, low=0.5),
    evaluation=EvaluationConfig(betas=_powers_of_two(-1, 9)),
)

_CIFAR10_PAPER = ExperimentConfig(
    data=DataConfig(
        name="cifar10",
        image_size=32,
        validation_examples=0,
        augmentation="crop_flip",
    ),
    model=ModelConfig(
        likelihood="gaussian",
        latent_size=256,
        # The released file has 16 channels; the paper's 1x is 8.
        base_channels=8,
        convs_per_block=2,
        dense_units=256,
        kernel_init="fan_avg",
        conditioning=ConditioningConfig(
            kind="film",
            sites=("block",),
            hidden_units=256,
            strength=0.1,
            standardize=False,
        ),
    ),
    beta=BetaConfig(low=0.125, high=512.0),
    optimizer=OptimizerConfig(
        learning_rate=1e-4,
        schedule="halving",
        halve_at=(600_000, 780_000, 960_000, 1_140_000),
        weight_decay=1e-5,
        epsilon=1e-8,
    ),
    training=TrainingConfig(steps=1_200_000, batch_size=128),
    evaluation=EvaluationConfig(betas=_powers_of_two(-3, 9)),
)

_SHAPES3D_PAPER = ExperimentConfig(
    data=DataConfig(
        name="shapes3d",
        image_size=64,
        validation_examples=0,
        test_examples=10_000,
    ),
    model=ModelConfig(
        likelihood="bernoulli",
        latent_size=10,
        base_channels=8,
        convs_per_block=1,
        dense_units=256,
        kernel_init="fan_in",
        conditioning=ConditioningConfig(
            kind="film",
            sites=("block",),
            hidden_units=256,
            strength=0.01,
            standardize=False,
        ),
    ),
    beta=BetaConfig(low=0.5, high=512.0),
    optimizer=OptimizerConfig(
        learning_rate=2e-4,
        schedule="halving",
        halve_at=(300_000, 390_000, 480_000, 570_000),
        weight_decay=1e-5,
        epsilon=1e-8,
    ),
    training=TrainingConfig(steps=700_000, batch_size=64),
    evaluation=EvaluationConfig(betas=_powers_of_two(-1, 12)),
)

_SMOKE = ExperimentConfig(
    data=DataConfig(
        name="rendered_shapes3d/tiny", image_size=32, validation_examples=64
    ),
    model=ModelConfig(
        latent_size=4, base_channels=4, convs_per_block=1, dense_units=32
    ),
    beta=BetaConfig(low=0.5, high=512.0, normalization="geometric_mean"),
    optimizer=OptimizerConfig(learning_rate=3e-3),
    training=TrainingConfig(epochs=2, batch_size=32),
    evaluation=EvaluationConfig(
        betas=(1.0, 16.0, 256.0), watched_betas=(1.0, 256.0)
    ),
)

PRESETS = {
    "rendered_shapes3d": Preset(
        summary="Rendered Shapes3D, no download: the default",
        source="The paper's Shapes3D network and range of beta; gates and "
        "a normalised loss, since the paper's form needs 700,000 steps.",
        cost="TODO",
        expect="TODO",
        config=_RENDERED_SHAPES3D,
    ),
    "cifar10": Preset(
        summary="CIFAR-10 as in the seed report",
        source="TODO",
        cost="TODO",
        expect="TODO",
        config=_CIFAR10,
    ),
    "shapes3d": Preset("Shapes3D as in the seed report", "", "", "", _SHAPES3D),
    "cifar10_paper": Preset("", "", "", "", _CIFAR10_PAPER),
    "shapes3d_paper": Preset("", "", "", "", _SHAPES3D_PAPER),
    "smoke": Preset("", "", "", "", _SMOKE),
}
DEFAULT = "rendered_shapes3d"


def get_preset(name):
    """Returns the `Preset` called `name`.

    Raises:
        InputError: if there is none; the message names those there are.
    """
    if name not in PRESETS:
        raise InputError(
            f"expected a preset among {sorted(PRESETS)}, "
            f"received: preset={name!r}"
        )
    return PRESETS[name]
