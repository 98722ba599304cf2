"""Layers that tell features the loss weight they are trained under.

Where in a network they sit is the network's choice.
"""

import keras
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.layers.base import ConditioningLayer


@keras.saving.register_keras_serializable("yoto_tf")
class FiLM(ConditioningLayer):
    """Feature-wise linear modulation, in the authors' form.

        scale = 1 + strength * mlp_1(conditioning)
        shift =     strength * mlp_2(conditioning)
        output = scale * features + shift

    Both MLPs have one hidden layer with leaky ReLU. Their last layer starts
    at zero, so that a new FiLM is the identity; the authors draw it at random
    and rely on `strength` alone to start near it.

    Args:
        hidden_units: width of the hidden layers.
        strength: 0.1 in the authors' CIFAR-10 settings, 0.01 on Shapes3D.
            Without it (1.0) and with random starts, training diverges.

    References:
        Perez et al., FiLM, AAAI 2018. Dosovitskiy & Djolonga, YOTO, ICLR
        2020, section 2.1.
    """

    starts_as_identity = True

    def __init__(self, hidden_units=256, strength=0.1, **kwargs):
        super().__init__(**kwargs)
        _check_positive(hidden_units=hidden_units, strength=strength)
        self.hidden_units = int(hidden_units)
        self.strength = float(strength)

    def build(self, features_shape, conditioning_shape):
        channels = features_shape[-1]
        # The authors initialise every dense layer with variance 2 / fan_in.
        self.hidden = [
            keras.layers.Dense(
                self.hidden_units,
                kernel_initializer=keras.initializers.VarianceScaling(2.0),
                name=f"{name}_hidden",
                dtype=self.variable_dtype,
            )
            for name in ("scale", "shift")
        ]
        self.outputs = [
            keras.layers.Dense(
                channels,
                kernel_initializer="zeros",
                name=f"{name}_output",
                dtype=self.variable_dtype,
            )
            for name in ("scale", "shift")
        ]
        for hidden, output in zip(self.hidden, self.outputs, strict=True):
            hidden.build(conditioning_shape)
            output.build((conditioning_shape[0], self.hidden_units))

    def scale_and_shift(self, conditioning):
        scale, shift = (
            # 0.2 is the slope of TensorFlow's leaky ReLU, which they use.
            output(ops.leaky_relu(hidden(conditioning), 0.2))
            for hidden, output in zip(self.hidden, self.outputs, strict=True)
        )
        return 1 + self.strength * scale, self.strength * shift

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "strength": self.strength,
        }


@keras.saving.register_keras_serializable("yoto_tf")
class SigmoidFiLM(ConditioningLayer):
    """FiLM as in the seed report: scale and shift both in (0, 1).

        scale, shift = sigmoid(mlp(conditioning))

    One MLP with one hidden layer. It cannot be the identity and can only
    shift upwards. The report feeds it the raw weight 256 times over, which
    saturates nearly all sigmoids at a weight of 256; fed with a standardised
    logarithm, as here, it does not.

    Args:
        hidden_units: width of the hidden layer.
    """

    def __init__(self, hidden_units=256, **kwargs):
        super().__init__(**kwargs)
        _check_positive(hidden_units=hidden_units)
        self.hidden_units = int(hidden_units)

    def build(self, features_shape, conditioning_shape):
        self.hidden = keras.layers.Dense(
            self.hidden_units,
            activation="relu",
            name="hidden",
            dtype=self.variable_dtype,
        )
        self.outputs = keras.layers.Dense(
            2 * features_shape[-1],
            activation="sigmoid",
            name="scale_and_shift",
            dtype=self.variable_dtype,
        )
        self.hidden.build(conditioning_shape)
        self.outputs.build((conditioning_shape[0], self.hidden_units))

    def scale_and_shift(self, conditioning):
        both = self.outputs(self.hidden(conditioning))
        return ops.split(both, 2, axis=-1)

    def get_config(self):
        return {**super().get_config(), "hidden_units": self.hidden_units}


@keras.saving.register_keras_serializable("yoto_tf")
class Gate(ConditioningLayer):
    """Multiplies every channel by a gate of the conditioning vector.

        sigmoid: gate = 1 / (1 + exp(-(w . conditioning + b)))
        sqrt:    gate = sqrt(max(0, 1 - exp(w . conditioning + b)))

    Multi-Rate VAE uses `sigmoid` in the encoder and `sqrt` in the decoder: the
    best linear decoder's gain is of that form.

    Args:
        form: `"sigmoid"` or `"sqrt"`.

    References:
        Bae et al., Multi-Rate VAE, ICLR 2023, section 4.
    """

    FORMS = ("sigmoid", "sqrt")

    def __init__(self, form="sigmoid", **kwargs):
        super().__init__(**kwargs)
        if form not in self.FORMS:
            raise InputError(
                f"expected form to be one of {self.FORMS}, "
                f"received: form={form!r}"
            )
        self.form = form

    def build(self, features_shape, conditioning_shape):
        # Gates start open (0.88 and 0.93). At a bias of 0 half of the sqrt
        # gates would start at exactly zero and get no gradient.
        start = 2.0 if self.form == "sigmoid" else -2.0
        self.kernel = self.add_weight(
            shape=(conditioning_shape[-1], features_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.1),
            name="kernel",
            autocast=False,
        )
        self.bias = self.add_weight(
            shape=(features_shape[-1],),
            initializer=keras.initializers.Constant(start),
            name="bias",
            autocast=False,
        )

    def scale_and_shift(self, conditioning):
        x = ops.matmul(conditioning, self.kernel) + self.bias
        if self.form == "sigmoid":
            gate = ops.sigmoid(x)
        else:
            # Clamped before the root, whose slope at 0 is infinite, and before
            # the exponential, which overflows: infinity times the clamp's
            # zero slope is NaN. Gates are 0.001 or more.
            gate = ops.sqrt(-ops.expm1(ops.minimum(x, -1e-6)))
        return gate, None

    def get_config(self):
        return {**super().get_config(), "form": self.form}


@keras.saving.register_keras_serializable("yoto_tf")
class Concatenation(ConditioningLayer):
    """Appends the conditioning vector to the channels at every position."""

    adds_channels = True

    def call(self, features, conditioning):
        features, conditioning = self._cast(features, conditioning)
        conditioning = ops.cast(conditioning, features.dtype)
        middle = (1,) * (len(features.shape) - 2)
        vector = ops.reshape(
            conditioning, (-1, *middle, conditioning.shape[-1])
        )
        shape = (*ops.shape(features)[:-1], conditioning.shape[-1])
        return ops.concatenate([features, ops.broadcast_to(vector, shape)], -1)

    def compute_output_shape(self, features_shape, conditioning_shape):
        return (
            *features_shape[:-1],
            features_shape[-1] + conditioning_shape[-1],
        )


def _check_positive(**values):
    for name, value in values.items():
        if not value > 0:
            raise InputError(
                f"expected {name} to be above 0, received: {name}={value!r}"
            )
