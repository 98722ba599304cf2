"""A linear layer, its conditioning and its activation, in this order."""

import keras

from yoto_tf.layers.activations import leaky_relu


@keras.saving.register_keras_serializable("yoto_tf")
class ConditionedStage(keras.layers.Layer):
    """activation(conditioning(layer(features))).

    The conditioning sits before the activation, as the authors have it.

    Args:
        layer: a Dense, Conv2D or Conv2DTranspose without activation.
        conditioning: a `ConditioningLayer`, or None.
        negative_slope: of the leaky ReLU; None for no activation.

    Call arguments:
        features: what `layer` takes.
        conditioning: `(batch, k)`.
    """

    def __init__(self, layer, conditioning=None, negative_slope=None, **kwargs):
        # The conditioning stays as it is, `layer` casts the features itself.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = layer.supports_masking
        self.layer = layer
        self.conditioning = conditioning
        self.negative_slope = negative_slope

    def build(self, features_shape, conditioning_shape):
        # Layers that come out of a saved config are built already.
        if not self.layer.built:
            self.layer.build(features_shape)
        if self.conditioning is not None and not self.conditioning.built:
            self.conditioning.build(
                self.layer.compute_output_shape(features_shape),
                conditioning_shape,
            )

    def call(self, features, conditioning):
        x = self.layer(features)
        if self.conditioning is not None:
            x = self.conditioning(x, conditioning)
        if self.negative_slope is not None:
            x = leaky_relu(x, self.negative_slope)
        return x

    def compute_output_shape(self, features_shape, conditioning_shape):
        shape = self.layer.compute_output_shape(features_shape)
        if self.conditioning is not None:
            shape = self.conditioning.compute_output_shape(
                shape, conditioning_shape
            )
        return tuple(shape)

    def get_config(self):
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "conditioning": keras.saving.serialize_keras_object(
                self.conditioning
            ),
            "negative_slope": self.negative_slope,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("layer", "conditioning"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
