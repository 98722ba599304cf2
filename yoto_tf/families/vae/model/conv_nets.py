"""The paper's convolutional encoder and decoder, conditioned at their sites.

Both size themselves to the image: as many stride-2 blocks as lead from it to
4x4, with channels doubled from block to block (Dosovitskiy & Djolonga, ICLR
2020, appendix; figures from the authors' released settings).
"""

import math

import keras
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.image_config import IMAGE_SIZES
from yoto_tf.layers.factory import make_conditioning
from yoto_tf.layers.stage import ConditionedStage
from yoto_tf.registry import CONDITIONING

_SMALLEST = 4
# Slopes of the leaky ReLU after convolutions and after dense layers.
_CONV_SLOPE = 0.3
_DENSE_SLOPE = 0.2


class _ConvNet(keras.layers.Layer):
    """What encoder and decoder share: the stages and where they are told.

    Args:
        image_shape: `(size, size, channels)`.
        config: `ModelConfig`, or the dict of one.
    """

    _decoder = False

    def __init__(self, image_shape, config, **kwargs):
        # The conditioning stays as it is, layers cast the features.
        super().__init__(autocast=False, **kwargs)
        if isinstance(config, dict):
            config = ModelConfig.from_dict(config)
        self.image_shape = tuple(int(n) for n in image_shape)
        if (
            len(self.image_shape) != 3
            or self.image_shape[0] != self.image_shape[1]
            or self.image_shape[0] not in IMAGE_SIZES
        ):
            raise InputError(
                "expected image_shape (size, size, channels) with a size of "
                f"{IMAGE_SIZES}, received: image_shape={tuple(image_shape)}"
            )
        self.config = config
        blocks = int(math.log2(self.image_shape[0] // _SMALLEST))
        self.block_channels = [
            config.base_channels * config.width * 2**b for b in range(blocks)
        ]
        self.dense_units = config.dense_units * config.width
        self.stages = self._make_stages()

    def _make_stages(self):
        raise NotImplementedError

    def _stage(self, layer, sites, slope, map_size=1):
        """Wraps `layer`; it is conditioned if one of `sites` is configured
        and its output has at most the configured pixels a side."""
        conditioning = None
        largest = self.config.conditioning.largest_map or math.inf
        if (
            set(sites) & set(self.config.conditioning.sites)
            and map_size <= largest
        ):
            conditioning = make_conditioning(
                self.config.conditioning,
                width=self.config.width,
                decoder=self._decoder,
                name="conditioning",
            )
            fixed = {"posterior", "output"} & set(sites)
            if fixed and getattr(conditioning, "adds_channels", False):
                raise InputError(
                    f"expected sites other than {fixed.pop()!r} for a layer "
                    "that adds channels, received: "
                    f"kind={self.config.conditioning.kind!r}"
                )
            # The latents' Identity has no bias.
            if getattr(conditioning, "replaces_bias", False) and hasattr(
                layer, "use_bias"
            ):
                layer.use_bias = False
        return ConditionedStage(
            layer, conditioning, slope, name=f"{layer.name}_stage"
        )

    def _dense(self, units, name):
        return keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.VarianceScaling(2.0),
            name=name,
        )

    def _conv(self, layer_class, filters, stride, name):
        return layer_class(
            filters,
            3,
            strides=stride,
            padding="same",
            # He's gain for the leaky slope.
            kernel_initializer=keras.initializers.VarianceScaling(
                2 / (1 + _CONV_SLOPE**2), self.config.kernel_init
            ),
            name=name,
        )

    def _sites_of_conv(self, index):
        last = index == self.config.convs_per_block - 1
        return ("conv", "block") if last else ("conv",)

    def _entry_shape(self, stage, shape):
        """The shape that `stage` wants of features that have `shape`."""
        raise NotImplementedError

    def build(self, features_shape, conditioning_shape):
        shape = tuple(features_shape)
        for stage in self.stages:
            shape = self._entry_shape(stage, shape)
            stage.build(shape, conditioning_shape)
            shape = stage.compute_output_shape(shape, conditioning_shape)

    def call(self, features, conditioning):
        x = features
        for stage in self.stages:
            shape = self._entry_shape(stage, tuple(x.shape))
            if len(shape) != len(x.shape):
                x = ops.reshape(x, (-1, *shape[1:]))
            x = stage(x, conditioning)
        return x

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "config": self.config.to_dict(),
        }


@keras.saving.register_keras_serializable("yoto_tf")
class ConvEncoder(_ConvNet):
    """Image to the parameters of the posterior.

    Call arguments:
        features: images `(batch, size, size, channels)`, as the likelihood
            wants them.
        conditioning: `(batch, k)`.

    Returns:
        `(batch, 2 * latent_size)`: what `GaussianPosterior` takes.
    """

    def _make_stages(self):
        stages = []
        blocks = len(self.block_channels)
        for b, channels in enumerate(self.block_channels):
            for c in range(self.config.convs_per_block):
                last = c == self.config.convs_per_block - 1
                # The authors leave the last block without activation.
                slope = None if last and b == blocks - 1 else _CONV_SLOPE
                conv = self._conv(
                    keras.layers.Conv2D,
                    channels,
                    2 if c == 0 else 1,
                    f"block_{b}_conv_{c}",
                )
                sites = self._sites_of_conv(c)
                size = self.image_shape[0] // 2 ** (b + 1)
                stages.append(self._stage(conv, sites, slope, size))
        stages.append(
            self._stage(
                self._dense(self.dense_units, "dense"), ("dense",), _DENSE_SLOPE
            )
        )
        stages.append(
            self._stage(
                self._dense(2 * self.config.latent_size, "posterior"),
                ("posterior",),
                None,
            )
        )
        return stages

    def _entry_shape(self, stage, shape):
        if isinstance(stage.layer, keras.layers.Dense) and len(shape) == 4:
            return (shape[0], math.prod(shape[1:]))
        return shape

    def compute_output_shape(self, features_shape, conditioning_shape):
        return (features_shape[0], 2 * self.config.latent_size)


@keras.saving.register_keras_serializable("yoto_tf")
class ConvDecoder(_ConvNet):
    """Latents to the parameters of the likelihood.

    Args:
        outputs_per_channel: parameters per pixel and channel, 1 or 2.

    Call arguments:
        features: latents `(batch, latent_size)`.
        conditioning: `(batch, k)`.

    Returns:
        `(batch, size, size, outputs_per_channel * channels)`.
    """

    _decoder = True

    def __init__(self, image_shape, config, outputs_per_channel=1, **kwargs):
        self.outputs_per_channel = int(outputs_per_channel)
        super().__init__(image_shape, config, **kwargs)

    def _make_stages(self):
        found, _ = CONDITIONING.find(self.config.conditioning.kind)
        widened = getattr(found, "adds_channels", False)
        first = _SMALLEST**2 * self.block_channels[-1]
        stages = []
        if "latent" in self.config.conditioning.sites:
            latents = keras.layers.Identity(name="latent")
            stages.append(self._stage(latents, ("latent",), None))
        stages += [
            self._stage(
                self._dense(self.dense_units, "dense_0"),
                ("dense",),
                _DENSE_SLOPE,
            ),
            self._stage(
                self._dense(first, "dense_1"),
                # Further channels would not reshape to 4x4 maps.
                () if widened else ("dense",),
                None,
            ),
        ]
        for b in reversed(range(len(self.block_channels))):
            for c in range(self.config.convs_per_block):
                last = c == self.config.convs_per_block - 1
                conv = self._conv(
                    keras.layers.Conv2DTranspose,
                    self.block_channels[b],
                    2 if last else 1,
                    f"block_{b}_conv_{c}",
                )
                sites = self._sites_of_conv(c)
                size = self.image_shape[0] // 2 ** (b if last else b + 1)
                stages.append(self._stage(conv, sites, _CONV_SLOPE, size))
        filters = self.outputs_per_channel * self.image_shape[-1]
        conv = self._conv(keras.layers.Conv2D, filters, 1, "output")
        return [*stages, self._stage(conv, ("output",), None)]

    def _entry_shape(self, stage, shape):
        flat = isinstance(
            stage.layer, keras.layers.Dense | keras.layers.Identity
        )
        if not flat and len(shape) == 2:
            channels = shape[1] // _SMALLEST**2
            return (shape[0], _SMALLEST, _SMALLEST, channels)
        return shape

    def compute_output_shape(self, features_shape, conditioning_shape):
        size = self.image_shape[0]
        filters = self.outputs_per_channel * self.image_shape[-1]
        return (features_shape[0], size, size, filters)

    def get_config(self):
        return {
            **super().get_config(),
            "outputs_per_channel": self.outputs_per_channel,
        }
