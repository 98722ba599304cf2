"""The network of an experiment: its size, and how it is told the weight.

Imports no TensorFlow, so that a command line answers at once.
"""

from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from yoto_tf.conditioning_config import BaseConditioningConfig
from yoto_tf.conditioning_config import idle_beside
from yoto_tf.errors import InputError
from yoto_tf.families.vae.registry import LIKELIHOODS
from yoto_tf.strict_config import Config

# The library's own; `yoto_tf.registry` tells how others are named.
Likelihood = Literal[*LIKELIHOODS.built_in]
Posterior = Literal["variance_preserving", "softplus"]
Site = Literal["block", "conv", "dense", "posterior", "latent", "output"]
DEFAULT_SITES = ("block", "dense", "posterior", "latent", "output")


def idle_settings(kind, sites):
    """Names of the settings of conditioning that have no effect beside
    these, as a dict: setting -> the one that takes it away. Of `none`, which
    switches them all off, there are none: whatever it is put beside."""
    if kind == "none":
        return {}
    idle = dict.fromkeys(idle_beside(kind), "kind")
    if not {"block", "conv"} & set(sites):
        idle["largest_map"] = "sites"
    return idle


@dataclass(frozen=True, kw_only=True)
class ConditioningConfig(BaseConditioningConfig):
    """How and where the network is told the loss weight.

    Example:
        yoto_tf.ConditioningConfig(kind="film", sites=("block",))
    """

    sites: tuple[Site, ...] = DEFAULT_SITES
    """`block`: last conv of each block (the paper); `conv`: every conv;
    `dense`: every hidden dense layer; `posterior`: mean and spread of the
    posterior; `latent`: what enters the decoder; `output`: the decoder's
    last layer."""
    largest_map: int | None = 8
    """Leave convolutions of `block` and `conv` alone whose output has more
    pixels a side than this: every site reads and writes its whole map, and
    the largest maps cost most of it; None: all (the paper)."""
    hidden_units: int = 256
    """Width of FiLM's hidden layer at 1x (the paper)."""
    standardize: bool = True
    """Give the network log(beta) with mean 0 and deviation 1 over the
    trained distribution; off: log(beta) as it is (the paper)."""

    def _check(self):
        super()._check()
        self._positive("largest_map")
        if "largest_map" in idle_settings(self.kind, self.sites):
            self._without_effect(("largest_map",), self._of("sites"))
        if self.kind == "spline" and not self.standardize:
            raise InputError(
                "expected standardize=True for kind='spline', whose knots "
                "spread over the standardised range, received: "
                "standardize=False"
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
    every pixel on [-1, 1]; `squared_error`, summed, on [0, 1]; or
    MODULE:CLASS, one of your own."""
    posterior: Posterior = "variance_preserving"
    """How q(z|x, beta) is made of the encoder's two outputs a, b per latent.
    `variance_preserving`: variance v = sigmoid(b), mean a * sqrt(1 - v), so
    that a latent whose b grows turns into the prior and costs no rate.
    `softplus`: mean a, deviation softplus(b) (the authors)."""
    initial_variance: float | None = None
    """Unset: the variance_preserving posterior starts with the linear VAE's
    optimum for the eigenvalues of the data, latent by latent and beta by
    beta, which `ConditionalVAE.adapt` learns from images, and `fit` from its
    first ones. A number, for ablations: with this variance in the middle of
    the range of log(beta), with more above and with less below it, alike for
    all latents; a fixed weight with what its own beta has of that."""
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
