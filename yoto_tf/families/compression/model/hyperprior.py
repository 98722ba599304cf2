"""A mean-scale hyperprior with a knob: fewer bits or a better picture."""

import math

import keras
import tensorflow as tf
from keras import ops

from yoto_tf.compression import exact
from yoto_tf.compression.quality import STEPS
from yoto_tf.compression.tables import MAX_SYMBOL
from yoto_tf.errors import InputError
from yoto_tf.families.compression.config import KNOB
from yoto_tf.families.compression.config import STRIDE
from yoto_tf.families.compression.config import CompressionModelConfig
from yoto_tf.families.compression.model import networks
from yoto_tf.families.compression.model.entropy import FactorizedPrior
from yoto_tf.families.compression.model.entropy import coded_gaussian_bits
from yoto_tf.families.compression.model.entropy import noisy_gaussian_bits
from yoto_tf.families.compression.model.hyper_decoder import HyperDecoder
from yoto_tf.families.compression.model.networks import through
from yoto_tf.families.compression.model.similarity import ms_ssim
from yoto_tf.families.pixels import as_pixels
from yoto_tf.families.pixels import in_unit_interval
from yoto_tf.families.pixels import to_unit_interval
from yoto_tf.layers.factory import make_conditioning
from yoto_tf.method import precision
from yoto_tf.method import replicas
from yoto_tf.method.assertions import checked
from yoto_tf.method.model import LossConditionalModel
from yoto_tf.method.parameters import LogUniform


@keras.saving.register_keras_serializable("yoto_tf")
class CompressionModel(LossConditionalModel):
    """Pictures to whole numbers and back, for every lambda.

    Terms: `rate`, bits per pixel, with the weight 1, and `distortion`, with
    the weight `lmbda`: 255**2 times the mean squared error, or 1 - MS-SSIM.
    The networks are
    those of Minnen et al., Joint autoregressive and hierarchical priors for
    learned image compression (NeurIPS 2018), without the autoregressive part.

    In training, noise stands in place of rounding. Otherwise a call rounds,
    and counts bits by the arithmetic and the tables of files; of a hyper-latent
    beyond its table (63 from 0) 30 bits at most, where a file may take 40.

    Args:
        network: `CompressionModelConfig`, or its dict.
        loss_parameters: `lmbda` alone, a `LogUniform` or a number.
        **kwargs: of `LossConditionalModel`.

    Call arguments:
        x: `(batch, height, width, 3)`, uint8 or in [0, 1], sides multiples
            of 64.
        loss_parameters: dict, `lmbda` -> number or one per picture.

    Returns:
        dict: `image`, float32 as `x`, in [0, 1]; `bits`, `(batch,)`.

    Raises:
        InputError: for other loss parameters, pictures or sides.
    """

    weight_names = {"distortion": KNOB}

    def __init__(self, network, loss_parameters, **kwargs):
        super().__init__(loss_parameters, **kwargs)
        if isinstance(network, dict):
            network = CompressionModelConfig.from_dict(network)
        self.network = network
        if tuple(self.loss_parameters.names) != (KNOB,):
            raise InputError(
                f"expected the loss parameter {KNOB} alone, received: "
                f"{list(self.loss_parameters.names)}"
            )
        parameter = self.loss_parameters.parameters[KNOB]
        varies = bool(self.loss_parameters.varying)
        if varies and not isinstance(parameter, LogUniform):
            raise InputError(
                f"expected {KNOB} log-uniform or a number, received: a "
                f"{type(parameter).__name__}"
            )
        facts = self.loss_parameters.facts(KNOB)
        self.lambda_ends = float(facts["low"]), float(facts["high"])
        config = network.conditioning
        told = varies and config.kind != "none"
        self.gains = None
        # Latents, their bits and what says how they are coded have more than
        # the eight bits of bfloat16.
        with precision.default_policy(self.loss_dtype):
            if told and "latent" in config.sites:
                site = make_conditioning(config, name="latent_site")
                self.gains = networks.Gains(site, network.latents, name="gains")
        with precision.default_policy(self.dtype_policy):
            self.analysis = networks.analysis(network, told)
            self.synthesis = networks.synthesis(network, told)
            self.hyper_analysis = networks.hyper_analysis(network, told)
        with precision.default_policy(self.loss_dtype):
            self.hyper_decoder = HyperDecoder(
                network, told, name="hyper_decoder"
            )
            # Its weights are read before it is called.
            self.hyper_decoder.build(
                (None, None, None, network.channels), (None, 1)
            )
            self.prior = FactorizedPrior(name="prior")

    # Its parts, of which files are made; pictures are in [0, 1] or uint8.

    def latents_of(self, x, lmbda):
        """Float32 latents `(batch, height / 16, width / 16, latents)`.

        Args:
            x: pictures, sides multiples of 16.
            lmbda: `(batch,)`.
        """
        told = self.coordinates({KNOB: lmbda})
        y = through(self.analysis, to_unit_interval(x) - 0.5, told)
        y = ops.cast(y, self.loss_dtype)
        return y if self.gains is None else y * self._gains_of(lmbda, told)

    def hyper_symbols_of(self, y, lmbda):
        """Rounded hyper-latents of latents, int32, a quarter of their
        sides."""
        told = self.coordinates({KNOB: lmbda})
        return _rounded(through(self.hyper_analysis, y, told))

    def scales_of(self, hyper_symbols, lmbda):
        """`(indices, means)` of the latents; see `HyperDecoder.coded`."""
        return self.hyper_decoder.coded(hyper_symbols, self.steps_of(lmbda))

    def picture_of(self, y, lmbda):
        """Pictures in [0, 1] from latents that were rounded."""
        return ops.clip(self._picture(y, lmbda), 0.0, 1.0)

    def _picture(self, y, lmbda):
        told = self.coordinates({KNOB: lmbda})
        y = ops.cast(y, self.loss_dtype)
        if self.gains is not None:
            y = y / self._gains_of(lmbda, told)
        return ops.cast(through(self.synthesis, y, told), self.loss_dtype) + 0.5

    def _gains_of(self, lmbda, told):
        # Only the start of what is learned.
        middle = math.sqrt(math.prod(self.lambda_ends))
        power = self.network.conditioning.gain_exponent
        return self.gains(power * ops.log(lmbda / middle), told)

    def steps_of(self, lmbda):
        """Steps of the quality, `(batch,)` float64 whole numbers, that are
        nearest to lambdas; see `yoto_tf.compression.quality`."""
        lmbda = tf.cast(lmbda, tf.float64)
        low, high = self.lambda_ends
        if low == high:
            return tf.zeros_like(lmbda)
        # A step is a change of 3e-4: what roundings change is not seen.
        place = tf.math.log(lmbda / low) / math.log(high / low)
        return tf.clip_by_value(tf.round(place * STEPS), 0, STEPS)

    def coded(self, x, lmbda):
        """All that a file is made of, for pictures.

        Returns:
            dict: `symbols`, `hyper_symbols` and `scale_indices`, int32, and
            `means`, float64.
        """
        y = self.latents_of(x, lmbda)
        hyper_symbols = self.hyper_symbols_of(y, lmbda)
        indices, means = self.scales_of(hyper_symbols, lmbda)
        return {
            "symbols": _rounded(tf.cast(y, tf.float64) - means),
            "hyper_symbols": hyper_symbols,
            "scale_indices": indices,
            "means": means,
        }

    # What training needs.

    def check_inputs(self, x):
        return in_unit_interval(_of_whole_strides(as_pixels(x)))

    def call(self, x, loss_parameters, training=False):
        lmbda = loss_parameters[KNOB]
        if not training:
            parts = self.coded(x, lmbda)
            symbols, hyper_symbols = parts["symbols"], parts["hyper_symbols"]
            rest = self.prior(ops.cast(hyper_symbols, self.loss_dtype))
            bits = coded_gaussian_bits(symbols, parts["scale_indices"])
            bits = ops.cast(bits, self.loss_dtype)
            latents = tf.cast(symbols, tf.float64) + parts["means"]
            image = self.picture_of(latents, lmbda)
        else:
            told = self.coordinates({KNOB: lmbda})
            y = self.latents_of(x, lmbda)
            z = through(self.hyper_analysis, y, told)
            z = self._noisy(ops.cast(z, self.loss_dtype))
            means, indices = self.hyper_decoder(z, told)
            latents = self._noisy(y)
            rest = self.prior(z)
            bits = noisy_gaussian_bits(latents - means, indices)
            bits = ops.sum(bits, (1, 2, 3))
            if self.network.quantization == "mixed":
                rounded = ops.round(y - means) + means
                latents = y + ops.stop_gradient(rounded - y)
            image = self._picture(latents, lmbda)
        return {"image": image, "bits": bits + ops.sum(rest, (1, 2, 3))}

    def _noisy(self, values):
        """Noise in place of rounding, which has no gradient (Balle et al.,
        ICLR 2017)."""
        shape = ops.shape(values)
        return values + replicas.own_rows(
            lambda num: keras.random.uniform(
                (num, *shape[1:]), -0.5, 0.5, values.dtype, self.draw_seed
            ),
            shape[0],
        )

    def loss_terms(self, x, y, outputs, loss_parameters):
        x = ops.cast(to_unit_interval(x), outputs["image"].dtype)
        if self.network.distortion == "ms_ssim":
            distortion = 1 - ms_ssim(x, outputs["image"])
        else:
            error = x - outputs["image"]
            distortion = 255.0**2 * ops.mean(error * error, (1, 2, 3))
        shape = ops.shape(x)
        pixels = ops.cast(shape[1] * shape[2], outputs["bits"].dtype)
        return {
            "rate": outputs["bits"] / pixels,
            "distortion": distortion,
        }

    def stages(self):
        """The hyper-decoder's weights, for `exact.hyper_decoder`."""
        return self.hyper_decoder.stages()

    def get_config(self):
        return {**super().get_config(), "network": self.network.to_dict()}


def _of_whole_strides(images):
    """Returns images of three channels, if their sides are multiples."""
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[-1] != 3:
        raise InputError(
            "expected pictures (batch, height, width, 3), received: shape "
            f"{shape}"
        )
    sentence = f"expected pictures with sides that are multiples of {STRIDE}"
    if any(
        side is not None and (side % STRIDE or not side) for side in shape[1:3]
    ):
        raise InputError(
            f"{sentence}, received: {shape[1]} x {shape[2]} pixels"
        )
    if None not in shape[1:3] or isinstance(images, keras.KerasTensor):
        return images
    # Known when the step runs.
    sides = tf.shape(images)[1:3]
    good = tf.reduce_all((sides > 0) & (sides % STRIDE == 0))
    return checked(images, good, f"{sentence}, received:", sides)


def _rounded(values):
    """The nearest whole numbers that a file can hold, int32."""
    limit = min(MAX_SYMBOL, exact.MAX_FEATURE)
    values = tf.clip_by_value(tf.round(values), -limit, limit)
    return tf.cast(values, tf.int32)
