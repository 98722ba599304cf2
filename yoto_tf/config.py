"""What an experiment is made of: frozen dataclasses, validated at birth.

The same classes are the command line of `training.train` (through tyro), the
content of a run's `config.json` and the arguments of the models. This module
imports no TensorFlow, so that a command line answers at once.
"""

import typing
from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.loss_config import BetaConfig
from yoto_tf.loss_config import ObjectiveConfig
from yoto_tf.loss_config import ParameterConfig
from yoto_tf.registry import CONDITIONING
from yoto_tf.registry import LIKELIHOODS
from yoto_tf.settings import Settings
from yoto_tf.strict_config import Config

IMAGE_SIZES = (32, 64, 128)

# The library's own; `yoto_tf.registry` tells how others are named.
Likelihood = Literal[*LIKELIHOODS.built_in]
Posterior = Literal["variance_preserving", "softplus"]
ConditioningKind = Literal[*CONDITIONING.built_in]
Site = Literal["block", "conv", "dense", "posterior", "latent", "output"]
DEFAULT_SITES = ("block", "dense", "posterior", "latent", "output")


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
class ConditioningConfig(Config):
    """How and where the network is told the loss weight.

    Example:
        yoto_tf.ConditioningConfig(kind="film", sites=("block",))
    """

    kind: ConditioningKind | str = "spline"
    """`spline`: FiLM that is piecewise linear in the log of the weight;
    `film`: the paper's; `sigmoid_film`: the seed report's, both outputs
    through a sigmoid; `gate`: Multi-Rate VAE; `concatenation`: the weight as
    further channels; `none`: not told at all; MODULE:CLASS or
    'MODULE:CLASS(name=value)': a layer of your own."""
    sites: tuple[Site, ...] = DEFAULT_SITES
    """`block`: last conv of each block (the paper); `conv`: every conv;
    `dense`: every hidden dense layer; `posterior`: mean and spread of the
    posterior; `latent`: what enters the decoder; `output`: the decoder's
    last layer."""
    largest_map: int | None = 8
    """Leave convolutions of `block` and `conv` alone whose output has more
    pixels a side than this: every site reads and writes its whole map, and
    the largest maps cost most of it; None: all (the paper)."""
    knots: int = 5
    """Of `spline`: values of the weight, evenly over its range, at which
    scale and shift are learned."""
    hidden_units: int = 256
    """Width of FiLM's hidden layer at 1x (the paper)."""
    strength: float = 0.1
    """FiLM's scale is 1 + strength * output, its shift strength * output
    (the paper: 0.1 on CIFAR-10, 0.01 on Shapes3D)."""
    standardize: bool = True
    """Give the network log(beta) with mean 0 and deviation 1 over the
    trained distribution; off: log(beta) as it is (the paper)."""

    def __post_init__(self):
        object.__setattr__(self, "kind", CONDITIONING.text(self.kind))
        super().__post_init__()

    def _check(self):
        self._positive("hidden_units", "strength", "largest_map")
        if self.knots < 2:
            raise InputError(
                f"expected knots of 2 or more, received: knots={self.knots}"
            )
        if self.kind == "spline" and not self.standardize:
            raise InputError(
                "expected standardize=True for kind='spline', whose knots "
                "spread over the standardised range, received: "
                "standardize=False"
            )
        if self.kind != "none" and not self.sites:
            raise InputError(
                f"expected at least one of {typing.get_args(Site)} for "
                f"kind={self.kind!r}, received: sites=()"
            )
        if self.kind == "concatenation" and "output" in self.sites:
            raise InputError(
                "expected sites other than 'output' for "
                "kind='concatenation', which would add channels to the "
                f"image, received: sites={self.sites}"
            )
        if self.kind == "concatenation" and "posterior" in self.sites:
            raise InputError(
                "expected sites other than 'posterior' for "
                "kind='concatenation', which would add latents, "
                f"received: sites={self.sites}"
            )


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """The convolutional VAE of the paper, at any width.

    Example:
        config = yoto_tf.ModelConfig(latent_size=16, width=2)
        yoto_tf.ConditionalVAE((32, 32, 3), config)
    """

    likelihood: Likelihood | str = "bernoulli"
    """p(x|z): `bernoulli` on [0, 1]; `gaussian` with a learned scale for
    every pixel on [-1, 1]; or MODULE:CLASS, one of your own."""
    posterior: Posterior = "variance_preserving"
    """How q(z|x, beta) is made of the encoder's two outputs a, b per latent.
    `variance_preserving`: variance v = sigmoid(b), mean a * sqrt(1 - v), so
    that a latent whose b grows turns into the prior and costs no rate.
    `softplus`: mean a, deviation softplus(b) (the authors)."""
    initial_variance: float | None = None
    """The variance_preserving posterior starts with this variance in the
    middle of the range of log(beta), with more above and with less below it,
    as the linear VAE's optimum has it; a fixed weight with what its own beta
    has of that. Unset: 0.9, which on [0.125, 512] is beta / (1 + beta). Less
    starts with more rate: 0.5 is better for `gaussian` on CIFAR-10, but with
    `bernoulli` the posterior collapses."""
    latent_size: int = 32
    """Number of latents."""
    width: int = 1
    """Multiplies the channels, dense units and FiLM's hidden units, not the
    latents: 1, 2, 4 are the paper's 1x, 2x, 4x."""
    base_channels: int = 8
    """Channels of the first block at 1x; doubled from block to block. There
    are as many blocks as bring the image down to 4x4."""
    convs_per_block: int = 2
    """3x3 convolutions per block; one of them has stride 2."""
    dense_units: int = 256
    """Width of the hidden dense layer of encoder and decoder at 1x."""
    kernel_init: Literal["fan_in", "fan_avg"] = "fan_in"
    """Mode of the convolutions' variance scaling (authors: fan_avg on
    CIFAR-10, fan_in on Shapes3D)."""
    conditioning: ConditioningConfig = field(default_factory=ConditioningConfig)

    def __post_init__(self):
        object.__setattr__(
            self, "likelihood", LIKELIHOODS.text(self.likelihood)
        )
        super().__post_init__()

    def _check(self):
        self._positive(
            "latent_size",
            "width",
            "base_channels",
            "convs_per_block",
            "dense_units",
        )
        if self.initial_variance is None:
            return
        if not 0 < self.initial_variance < 1:
            raise InputError(
                "expected initial_variance above 0 and below 1, received: "
                f"initial_variance={self.initial_variance}"
            )
        if self.posterior == "softplus":
            raise InputError(
                "expected initial_variance unset for posterior='softplus', "
                "which starts as the authors', received: "
                f"initial_variance={self.initial_variance}"
            )


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
