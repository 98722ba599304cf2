"""The networks between pictures, latents and hyper-latents."""

import keras
from keras import ops

from yoto_tf.layers.factory import make_conditioning
from yoto_tf.layers.stage import ConditionedStage

# Divisive normalisation starts as the identity, nearly.
_OWN_SHARE, _OTHER_SHARE, _LEAST = 0.1, 1e-3, 1e-3
_SLOPE = 0.125


@keras.saving.register_keras_serializable("yoto_tf")
class GDN(keras.layers.Layer):
    """Generalised divisive normalisation, or its inverse, as an activation.

        x / (beta + gamma |x|);   inverse: x * (beta + gamma |x|)

    over channels, gamma and beta above 0: the form without squares and roots
    of Johnston et al., Computationally efficient neural image compression
    (2019), after Balle et al. (ICLR 2017).

    Call arguments:
        x: `(batch, height, width, channels)`.
    """

    def __init__(self, inverse=False, **kwargs):
        super().__init__(**kwargs)
        self.inverse = bool(inverse)

    def build(self, shape):
        channels = shape[-1]

        def start(shape, dtype=None):
            own = ops.eye(channels, dtype=dtype)
            return _before_softplus(
                _OTHER_SHARE + (_OWN_SHARE - _OTHER_SHARE) * own
            )

        self.gamma = self.add_weight((channels, channels), start, name="gamma")
        self.offset = self.add_weight(
            (channels,),
            lambda shape, dtype=None: _before_softplus(
                ops.ones(shape, dtype) - _LEAST
            ),
            name="offset",
        )

    def call(self, x):
        norm = ops.matmul(ops.abs(x), ops.softplus(self.gamma))
        norm = norm + ops.softplus(self.offset) + _LEAST
        return x * norm if self.inverse else x / norm

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "inverse": self.inverse}


def _before_softplus(values):
    return ops.log(ops.expm1(values))


@keras.saving.register_keras_serializable("yoto_tf")
class Gains(keras.layers.Layer):
    """A gain above 0 for each channel, of lambda: exp(start + site).

    Args:
        site: a `ConditioningLayer`, whose scales less 1 are added.
        channels: number of gains.

    Call arguments:
        start: `(batch,)`, the logarithm of the gain where the site is new.
        conditioning: `(batch, k)`.

    Returns:
        `(batch, 1, 1, channels)`.
    """

    def __init__(self, site, channels, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.site = site
        self.channels = int(channels)

    def build(self, start_shape, conditioning_shape):
        if not self.site.built:
            shape = (start_shape[0], self.channels)
            self.site.build(shape, conditioning_shape)

    def call(self, start, conditioning):
        conditioning = ops.cast(conditioning, self.variable_dtype)
        scale, _ = self.site.scale_and_shift(conditioning)
        start = ops.expand_dims(ops.cast(start, scale.dtype), -1)
        gains = ops.exp(start + scale - 1)[:, None, None, :]
        return ops.cast(gains, self.compute_dtype)

    def compute_output_shape(self, start_shape, conditioning_shape):
        return (start_shape[0], 1, 1, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            "site": keras.saving.serialize_keras_object(self.site),
            "channels": self.channels,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["site"] = keras.saving.deserialize_keras_object(config["site"])
        return cls(**config)


def through(layers, x, conditioning):
    """Features through layers, those told that are `ConditionedStage`s."""
    for layer in layers:
        told = isinstance(layer, ConditionedStage)
        x = layer(x, conditioning) if told else layer(x)
    return x


def analysis(network, told):
    """Layers from pictures to latents, a sixteenth of their sides.

    Args:
        network: `CompressionModelConfig`.
        told: whether there is a lambda to be told.
    """
    layers = []
    for i in range(3):
        site = _site(network, told, "analysis", i)
        layers += [
            ConditionedStage(_down(network.channels), site),
            GDN(name=f"gdn_{i}"),
        ]
    return [*layers, _down(network.latents)]


def synthesis(network, told):
    """Layers from latents to pictures."""
    layers = []
    for i in range(3):
        site = _site(network, told, "synthesis", i)
        layers += [
            ConditionedStage(_up(network.channels), site),
            GDN(inverse=True, name=f"inverse_gdn_{i}"),
        ]
    # It starts with grey, nearly: large outputs take long to be unlearned.
    last = _up(3, keras.initializers.VarianceScaling(0.01))
    return [*layers, last]


def hyper_analysis(network, told):
    """Layers from latents to hyper-latents, a quarter of their sides."""
    width = network.channels
    first = keras.layers.Conv2D(
        width, 3, padding="same", kernel_initializer="he_normal"
    )
    stages = [
        ConditionedStage(layer, _site(network, told, "hyper", i), _SLOPE)
        for i, layer in enumerate((first, _down(width)))
    ]
    return [*stages, _down(width)]


def _down(width):
    return keras.layers.Conv2D(
        width, 5, 2, "same", kernel_initializer="he_normal"
    )


def _up(width, start="he_normal"):
    return keras.layers.Conv2DTranspose(
        width, 5, 2, "same", kernel_initializer=start
    )


def _site(network, told, where, i):
    config = network.conditioning
    if not told or where not in config.sites:
        return None
    return make_conditioning(config, name=f"{where}_site_{i}")
