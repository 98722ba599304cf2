"""A user's module with classes of its own, outside of the package."""

SOURCE = """
import keras
import yoto_tf


@yoto_tf.register_conditioning("scale_{name}")
class Scale(yoto_tf.ConditioningLayer):
    starts_as_identity = True

    def __init__(self, slope=1.0, **kwargs):
        super().__init__(**kwargs)
        self.slope = slope

    def build(self, features_shape, conditioning_shape):
        self.kernel = self.add_weight(
            shape=(conditioning_shape[-1], features_shape[-1]),
            initializer="zeros",
            name="kernel",
            autocast=False,
        )

    def scale_and_shift(self, conditioning):
        turned = keras.ops.matmul(conditioning, self.kernel)
        return 1 + self.slope * turned, None

    def get_config(self):
        return {{**super().get_config(), "slope": self.slope}}


@yoto_tf.register_likelihood("laplace_{name}")
class Laplace(yoto_tf.Likelihood):
    def __init__(self, width=0.1):
        self.width = width

    def distortion(self, images, outputs):
        nats = abs(images - outputs) / self.width
        nats = nats + keras.ops.log(2 * self.width)
        return keras.ops.sum(nats, axis=(1, 2, 3))

    def mean(self, outputs):
        return keras.ops.clip(outputs, 0.0, 1.0)

    def blank_distortion(self, num_values):
        return num_values * 10.0

    def get_config(self):
        return {{"width": self.width}}


class Other:
    pass
"""


def write(folder, name):
    """Writes the module `name` into a folder; returns its path."""
    path = folder / f"{name}.py"
    path.write_text(SOURCE.format(name=name))
    return path
