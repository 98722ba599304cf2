"""The functions that a server answers, as graphs over a `ConditionalVAE`.

All inputs and outputs have the batch first; one row of the inputs gives one
row of the outputs, whatever the other rows are. None of them draws random
numbers: the same request gets the same answer.
"""

import tensorflow as tf

from yoto_tf.families.vae import picture_files
from yoto_tf.families.vae.model.inputs import to_unit_interval
from yoto_tf.families.vae.model.posterior import rate as rate_of
from yoto_tf.graph_checks import at_most
from yoto_tf.rows import RowPolicy

# A row of `curve` costs as much as so many images.
MAX_CURVE_POINTS = 256

_IN_UNIT_INTERVAL = "image values in [0, 1]"


class Signatures:
    """The signatures of one model, the functions of its `Endpoint`s.

    Images are float32 `(batch, size, size, channels)` in [0, 1]; after the
    first input comes one float32 `(batch,)` per loss parameter, in the order
    of `loss_parameters.asked`; the shapes were checked by the endpoint. Rate
    and distortion are nats per image. Distortion is -log p(x|z, beta) at the
    posterior's mean, z = mean(x, beta): an answer that depends on nothing but
    the request, where `curve.csv` averages over one random z per image and is
    a little higher.

    Args:
        model: `ConditionalVAE`.
        invalid_rows: see `rows.RowPolicy`.
    """

    def __init__(self, model, invalid_rows="error"):
        self._model = model
        self._image_shape = model.image_shape
        self._latent_size = model.model_config.latent_size
        self._names = model.loss_parameters.asked
        self._rows = RowPolicy(model.loss_parameters, invalid_rows)

    def reconstruct(self, image, *asked):
        """The mean image at the posterior's mean.

        Returns:
            `reconstruction`, `rate` and `distortion` `(batch,)`, `in_range`
            `(batch,)` bool: whether the row was answered.
        """
        values, image, valid = self._images(image, asked)
        outputs = self._reconstruct(image, values)
        return {**self._blank(outputs, valid), "in_range": valid}

    def encode(self, image, *asked):
        """`mean` and `stddev` of q(z|x, beta), `(batch, latent_size)`."""
        values, image, valid = self._images(image, asked)
        mean, stddev = self._encode(image, values)
        return self._blank({"mean": mean, "stddev": stddev}, valid)

    def decode(self, latent, *asked):
        """The mean `image` of p(x|z, beta)."""
        return self._decode("latent", latent, asked)

    def sample(self, noise, *asked):
        """An `image` of the prior; `noise` `(batch, latent_size)` is drawn by
        the client, standard normal."""
        return self._decode("noise", noise, asked)

    def reconstruct_bytes(self, image_bytes, *asked):
        """`reconstruct` for PNG or JPEG files of any size, cropped to their
        middle square; PNG files out. A row that is not answered has an empty
        file and the rate NaN."""
        pixels, good = picture_files.decode(
            image_bytes, self._image_shape, self._rows.flags
        )
        values, pixels, valid = self._rows.admit(
            self._named(asked),
            pixels,
            _like(good, pixels),
            "whole PNG or JPEG files",
        )
        outputs = self._reconstruct(to_unit_interval(pixels), values)
        files = picture_files.encode(outputs["reconstruction"])
        flags = self._rows.flags
        return {
            "image_bytes": tf.where(valid, files, "") if flags else files,
            "rate": self._rows.blank(outputs["rate"], valid),
        }

    def curve(self, image, *asked):
        """`reconstruct` of every image at k points of its own.

        Args:
            image: as of `reconstruct`.
            *asked: `(batch, k)` each, k at most 256, the same k for all rows.

        Returns:
            `reconstruction` `(batch, k, size, size, channels)`, `rate` and
            `distortion` `(batch, k)`.
        """
        shape = tf.shape(asked[0])
        sizes = [
            tf.debugging.assert_equal(
                tf.shape(more),
                shape,
                f"expected as many values of {name} as of {self._names[0]}",
            )
            for name, more in zip(self._names, asked, strict=True)
        ]
        with tf.control_dependencies(sizes[1:]):
            asked = [tf.identity(values) for values in asked]
        values, image, valid = self._images(image, asked)
        what = f"{self._names[0]}s per image"
        few = at_most(shape[1], MAX_CURVE_POINTS, what)
        with tf.control_dependencies([few]):
            images = tf.repeat(image, shape[1], axis=0)
        values = {n: tf.reshape(v, [-1]) for n, v in values.items()}
        outputs = self._reconstruct(images, values)
        outputs = {
            name: tf.reshape(t, tf.concat([shape, t.shape[1:]], 0))
            for name, t in outputs.items()
        }
        return self._blank(outputs, valid)

    def _named(self, asked):
        return dict(zip(self._names, asked, strict=True))

    def _images(self, image, asked):
        """Sorts the rows of what most signatures are given."""
        good = (image >= 0) & (image <= 1)
        return self._rows.admit(
            self._named(asked), image, good, _IN_UNIT_INTERVAL
        )

    def _encode(self, image, values):
        rows = tf.shape(image)[0]
        image, values = _never_empty(image, values)
        # Without noise given, the layer would draw some: a variable of the
        # server's that every request changes.
        noise = tf.zeros([tf.shape(image)[0], self._latent_size])
        _, mean, stddev = self._model.posterior_of(image, values, noise)
        return mean[:rows], stddev[:rows]

    def _likelihood_of(self, latent, values):
        rows = tf.shape(latent)[0]
        latent, values = _never_empty(latent, values)
        return self._model.likelihood_of(latent, values)[:rows]

    def _reconstruct(self, image, values):
        likelihood = self._model.likelihood
        mean, stddev = self._encode(image, values)
        outputs = self._likelihood_of(mean, values)
        return {
            "reconstruction": likelihood.mean(outputs),
            "rate": rate_of(mean, stddev),
            "distortion": likelihood.distortion(image, outputs),
        }

    def _decode(self, name, latent, asked):
        values, latent, valid = self._rows.admit(
            self._named(asked),
            latent,
            tf.math.is_finite(latent),
            f"finite {name}",
        )
        outputs = self._likelihood_of(latent, values)
        image = self._model.likelihood.mean(outputs)
        return self._blank({"image": image}, valid)

    def _blank(self, outputs, valid):
        return {n: self._rows.blank(t, valid) for n, t in outputs.items()}


def _never_empty(tensor, values):
    """Adds a row to empty batches: with oneDNN, the output of TensorFlow's
    convolutions has a wrong number of channels for them."""
    missing = tf.maximum(1 - tf.shape(tensor)[0], 0)

    def filled(t):
        # An image, a latent and a beta whose logarithm is a number. Not
        # tf.pad: TFLite pads by constants alone.
        return tf.concat([t, tf.ones([missing, *t.shape[1:]], t.dtype)], axis=0)

    return filled(tensor), {n: filled(v) for n, v in values.items()}


def _like(good, values):
    """Spreads `(batch,)` over the shape of `values`."""
    return tf.broadcast_to(
        tf.reshape(good, [-1, *[1] * (len(values.shape) - 1)]),
        tf.shape(values),
    )
