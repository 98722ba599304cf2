"""The functions that a server answers, as graphs over a `ConditionalVAE`.

All inputs and outputs have the batch first; one row of the inputs gives one
row of the outputs, whatever the other rows are. None of them draws random
numbers: the same request gets the same answer.
"""

import tensorflow as tf

from export import pictures
from export.rows import RowPolicy
from export.rows import is_trained
from yoto_tf.graph_checks import at_most
from yoto_tf.layers.posterior import rate as rate_of
from yoto_tf.models.inputs import to_unit_interval

# A row of `curve` costs as much as so many images.
MAX_CURVE_BETAS = 256

_IN_UNIT_INTERVAL = "image values in [0, 1]"


class Signatures:
    """The signatures of one model, the functions of its `Endpoint`s.

    Images are float32 `(batch, size, size, channels)` in [0, 1], beta is
    float32 `(batch,)` unless said otherwise; the shapes were checked by the
    endpoint. Rate and distortion are nats per image. Distortion is
    -log p(x|z, beta) at the posterior's mean, z = mean(x, beta): an answer
    that depends on nothing but the request, where `curve.csv` averages over
    one random z per image and is a little higher.

    Args:
        model: `ConditionalVAE`.
        invalid_rows: see `rows.RowPolicy`.
    """

    def __init__(self, model, invalid_rows="error"):
        self._model = model
        self._image_shape = model.image_shape
        self._latent_size = model.model_config.latent_size
        self._rows = RowPolicy(model.beta_range, invalid_rows)

    def reconstruct(self, image, beta):
        """The mean image at the posterior's mean.

        Returns:
            `reconstruction`, `rate` and `distortion` `(batch,)`, `in_range`
            `(batch,)` bool: whether the row was answered.
        """
        image, beta, valid = self._images(image, beta)
        outputs = self._reconstruct(image, beta)
        return {**self._blank(outputs, valid), "in_range": valid}

    def encode(self, image, beta):
        """`mean` and `stddev` of q(z|x, beta), `(batch, latent_size)`."""
        image, beta, valid = self._images(image, beta)
        mean, stddev = self._encode(image, beta)
        return self._blank({"mean": mean, "stddev": stddev}, valid)

    def decode(self, latent, beta):
        """The mean `image` of p(x|z, beta)."""
        return self._decode("latent", latent, beta)

    def sample(self, noise, beta):
        """An `image` of the prior; `noise` `(batch, latent_size)` is drawn by
        the client, standard normal."""
        return self._decode("noise", noise, beta)

    def reconstruct_bytes(self, image_bytes, beta):
        """`reconstruct` for PNG or JPEG files of any size, cropped to their
        middle square; PNG files out. A row that is not answered has an empty
        file and the rate NaN."""
        pixels, good = pictures.decode(
            image_bytes, self._image_shape, self._flags
        )
        pixels, beta, valid = self._rows.admit(
            pixels, beta, _like(good, pixels), "whole PNG or JPEG files"
        )
        outputs = self._reconstruct(to_unit_interval(pixels), beta)
        files = pictures.encode(outputs["reconstruction"])
        return {
            "image_bytes": tf.where(valid, files, "") if self._flags else files,
            "rate": self._rows.blank(outputs["rate"], valid),
        }

    def curve(self, image, beta):
        """`reconstruct` of every image at k betas of its own.

        Args:
            beta: `(batch, k)`, k at most 256, the same k for all rows.

        Returns:
            `reconstruction` `(batch, k, size, size, channels)`, `rate` and
            `distortion` `(batch, k)`.
        """
        image, beta, valid = self._images(image, beta)
        shape = tf.shape(beta)
        few = at_most(shape[1], MAX_CURVE_BETAS, "betas per image")
        with tf.control_dependencies([few]):
            images = tf.repeat(image, shape[1], axis=0)
        outputs = self._reconstruct(images, tf.reshape(beta, [-1]))
        outputs = {
            name: tf.reshape(t, tf.concat([shape, t.shape[1:]], 0))
            for name, t in outputs.items()
        }
        return self._blank(outputs, valid)

    def beta_range(self, beta):
        """Whether each beta is trained; never fails for its value.

        Returns:
            `in_range` bool, `beta_min` and `beta_max` float32, `(batch,)`:
            the ends of the trained range. A model trained for single values
            is `in_range` at these alone.
        """
        trained = self._model.beta_range
        ends = trained.grid(2)
        return {
            "in_range": is_trained(beta, trained),
            "beta_min": tf.fill(tf.shape(beta), tf.cast(ends[0], tf.float32)),
            "beta_max": tf.fill(tf.shape(beta), tf.cast(ends[-1], tf.float32)),
        }

    @property
    def _flags(self):
        return self._rows.flags

    def _images(self, image, beta):
        """Sorts the rows of what most signatures are given."""
        good = (image >= 0) & (image <= 1)
        return self._rows.admit(image, beta, good, _IN_UNIT_INTERVAL)

    def _encode(self, image, beta):
        rows = tf.shape(image)[0]
        image, beta = _never_empty(image, beta)
        # Without noise given, the layer would draw some: a variable of the
        # server's that every request changes.
        noise = tf.zeros([tf.shape(image)[0], self._latent_size])
        _, mean, stddev = self._model.posterior_of(image, {"beta": beta}, noise)
        return mean[:rows], stddev[:rows]

    def _likelihood_of(self, latent, beta):
        rows = tf.shape(latent)[0]
        latent, beta = _never_empty(latent, beta)
        return self._model.likelihood_of(latent, {"beta": beta})[:rows]

    def _reconstruct(self, image, beta):
        likelihood = self._model.likelihood
        mean, stddev = self._encode(image, beta)
        outputs = self._likelihood_of(mean, beta)
        return {
            "reconstruction": likelihood.mean(outputs),
            "rate": rate_of(mean, stddev),
            "distortion": likelihood.distortion(image, outputs),
        }

    def _decode(self, name, latent, beta):
        latent, beta, valid = self._rows.admit(
            latent, beta, tf.math.is_finite(latent), f"finite {name}"
        )
        outputs = self._likelihood_of(latent, beta)
        image = self._model.likelihood.mean(outputs)
        return self._blank({"image": image}, valid)

    def _blank(self, outputs, valid):
        return {n: self._rows.blank(t, valid) for n, t in outputs.items()}


def _never_empty(*tensors):
    """Adds a row to empty batches: with oneDNN, the output of TensorFlow's
    convolutions has a wrong number of channels for them."""
    missing = tf.maximum(1 - tf.shape(tensors[0])[0], 0)
    return [
        # An image, a latent and a beta that any model accepts. Not tf.pad:
        # TFLite pads by constants alone.
        tf.concat([t, tf.ones([missing, *t.shape[1:]], t.dtype)], axis=0)
        for t in tensors
    ]


def _like(good, values):
    """Spreads `(batch,)` over the shape of `values`."""
    return tf.broadcast_to(
        tf.reshape(good, [-1, *[1] * (len(values.shape) - 1)]),
        tf.shape(values),
    )
