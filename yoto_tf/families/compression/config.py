"""What a run of learned image compression is made of. Imports no
TensorFlow."""

from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from yoto_tf.compression.pixels import SMALLEST_FOR_MS_SSIM
from yoto_tf.conditioning_config import BaseConditioningConfig
from yoto_tf.errors import InputError
from yoto_tf.objective_config import NormalizationConfig
from yoto_tf.parameter_config import ParameterConfig
from yoto_tf.settings import Settings
from yoto_tf.strict_config import Config

# Pixels that become one latent, and one hyper-latent: sides are multiples.
LATENT_STRIDE = 16
STRIDE = 64
# Of what a server is asked at once: some hundred MB of features.
MAX_REQUEST_PIXELS = 2**20
KNOB = "lmbda"
DESCRIPTION = (
    "Weight of the squared error against the bits: higher values keep more of "
    "the picture, in larger files."
)

DESCRIPTION_OF_SIMILARITY = DESCRIPTION.replace(
    "the squared error", "1 - MS-SSIM"
)

Site = Literal["latent", "analysis", "synthesis", "hyper"]


@dataclass(frozen=True, kw_only=True)
class CropsConfig(Config):
    """Which pictures, and which crops of them.

    Pictures are cut into squares, cells, that cover them; training draws
    crops of the cells, anew in each epoch, turned left to right half of the
    time.
    """

    name: str = "clic"
    """A folder of pictures, or a TFDS data set with an `image` feature."""
    data_dir: str | None = None
    """Where TFDS keeps its data; unset: TFDS_DATA_DIR or TFDS' default."""
    crop_size: int = 256
    """Side of a training crop in pixels, a multiple of 64. Of small ones the
    hyper-latents all lie at an edge, and the network fails inside of larger
    pictures: of 128, it writes several times the bits."""
    cell_size: int = 384
    """Side of a cell, a multiple of 64 that is no less than a crop. Pictures
    with a shorter side are left out."""
    crops_per_cell: int = 32
    """Crops of each cell in an epoch."""
    train_pictures: int | None = None
    """Use so many training pictures; unset: all. They are kept in memory, 3
    bytes a pixel."""
    validation_pictures: int = 1
    """Pictures held out to watch the run with (seeded, disjoint)."""
    test_pictures: int = 2
    """Pictures that training.evaluate scores (seeded, disjoint)."""
    split_seed: int = 0
    """Of the cuts above. Not the seed of the run: runs of different seeds are
    compared on the same pictures."""

    def _check(self):
        if not self.name:
            raise InputError(
                "expected name to be a folder of pictures or a TFDS data set, "
                f"received: name={self.name!r}"
            )
        self._positive("crops_per_cell", "train_pictures", "test_pictures")
        self._not_negative("validation_pictures")
        self._seeds("split_seed")
        for name in ("crop_size", "cell_size"):
            size = getattr(self, name)
            if size < STRIDE or size % STRIDE:
                raise InputError(
                    f"expected {name} to be a multiple of {STRIDE}, "
                    f"received: {name}={size}"
                )
        if self.cell_size < self.crop_size:
            raise InputError(
                "expected cell_size to be crop_size or more, received: "
                f"cell_size={self.cell_size}, crop_size={self.crop_size}"
            )


@dataclass(frozen=True, kw_only=True)
class CompressionConditioningConfig(BaseConditioningConfig):
    """How and where the networks are told lambda."""

    sites: tuple[Site, ...] = ("latent", "analysis", "synthesis", "hyper")
    """`latent`: a gain of each latent channel, undone before the synthesis,
    that starts as a power of lambda (`gain_exponent`). `analysis`,
    `synthesis`, `hyper`: the features of these networks, before their
    activation; of the hyper-decoder in whole numbers."""
    hidden_units: int = 64
    """Width of FiLM's hidden layer."""
    gain_exponent: float = 0.5
    """The gains of `latent` start as (lambda / the middle of its range) to
    this power, 0 to 1. At high rates the best step of quantisation falls as
    the square root of lambda; networks that are trained for one small lambda
    find latents of few bits instead, and a lower power leaves them room."""

    def _check(self):
        super()._check()
        if self.kind == "none":
            return
        if not 0 <= self.gain_exponent <= 1:
            raise InputError(
                "expected gain_exponent from 0 to 1, received: "
                f"gain_exponent={self.gain_exponent}"
            )
        if "hyper" in self.sites and self.kind != "spline":
            raise InputError(
                "expected kind='spline' with the site 'hyper', whose gains "
                f"are whole numbers, received: kind={self.kind!r}"
            )
        if "latent" in self.sites and self.kind == "concatenation":
            raise InputError(
                "expected sites other than 'latent' for kind='concatenation', "
                f"which has no gains, received: sites={self.sites}"
            )


@dataclass(frozen=True, kw_only=True)
class CompressionModelConfig(Config):
    """The networks: four convolutions of stride 2 each way, two more for the
    hyper-latents."""

    channels: int = 48
    """Of the features, and of the hyper-latents."""
    latents: int = 96
    """Channels of the latents."""
    distortion: Literal["mse", "ms_ssim"] = "mse"
    """What lambda weighs: `mse`, 255**2 times the mean squared error, or
    `ms_ssim`, 1 - MS-SSIM. The second wants a lambda a thousand times as high
    (CompressAI: 2.4 to 220), and crops of 176 or more."""
    quantization: Literal["noise", "mixed"] = "mixed"
    """What the synthesis is given in training, beside the noisy latents whose
    bits are counted. `noise`: these; `mixed`: rounded ones, whose gradient
    passes the rounding (Minnen & Singh, Channel-wise autoregressive entropy
    models, ICIP 2020)."""
    conditioning: CompressionConditioningConfig = field(
        default_factory=CompressionConditioningConfig
    )

    def _check(self):
        for name in ("channels", "latents"):
            number = getattr(self, name)
            # More products would not be exact; see `compression.exact`.
            if not 1 <= number <= 512:
                raise InputError(
                    f"expected {name} from 1 to 512, received: {name}={number}"
                )


@dataclass(frozen=True, kw_only=True)
class CompressionEvaluationConfig(Config):
    """Where a run is scored."""

    lambdas: tuple[float, ...] = ()
    """Values of lambda; unset: 5, spread over its range."""


@dataclass(frozen=True, kw_only=True)
class CompressionConfig(Settings):
    """One run of learned image compression: all that decides its outcome."""

    family: str = "compression"
    """Whose model it is: one of ours, or your own as module:name."""
    data: CropsConfig = field(default_factory=CropsConfig)
    model: CompressionModelConfig = field(
        default_factory=CompressionModelConfig
    )
    parameter: ParameterConfig = field(
        default_factory=lambda: ParameterConfig(
            name=KNOB, low=0.0018, high=0.18, description=DESCRIPTION
        )
    )
    """lambda, the weight of the distortion (`model.distortion`) against bits
    per pixel; `constant` for a separate model of one quality."""
    objective: NormalizationConfig = field(default_factory=NormalizationConfig)
    evaluation: CompressionEvaluationConfig = field(
        default_factory=CompressionEvaluationConfig
    )

    def _check(self):
        given = self.parameter
        if given.name != KNOB or given.distribution not in (
            "log_uniform",
            "constant",
        ):
            raise InputError(
                f"expected parameter.name={KNOB!r}, log-uniform or constant, "
                f"received: name={given.name!r}, "
                f"distribution={given.distribution!r}"
            )
        if given.distribution == "constant" and not given.values[0] > 0:
            raise InputError(
                f"expected {KNOB} above 0, received: {given.values[0]}"
            )
        if self.model.distortion == "ms_ssim":
            self._check_similarity()
        if not all(value > 0 for value in self.evaluation.lambdas):
            raise InputError(
                "expected evaluation.lambdas above 0, received: "
                f"lambdas={self.evaluation.lambdas}"
            )

    def _check_similarity(self):
        size, given = self.data.crop_size, self.parameter
        if size < SMALLEST_FOR_MS_SSIM:
            raise InputError(
                f"expected data.crop_size of {SMALLEST_FOR_MS_SSIM} or more "
                "for the five scales of model.distortion='ms_ssim', received: "
                f"crop_size={size}"
            )
        highest = given.high
        if given.distribution == "constant":
            highest = given.values[0]
        if highest < 1:
            raise InputError(
                f"expected values of {KNOB} of 1 and more for "
                "model.distortion='ms_ssim', as 2.4 to 220, received: "
                f"{highest}, with which a bit per pixel is never worth it"
            )
