"""p(x|z): how a decoder's output scores an image.

`distortion` is -log p(x|z) in nats per image, summed over pixels and
channels, one number per example. Images are in [0, 1] at every edge; the
range that a likelihood wants is made here, inside the graph, for training,
evaluation and export alike.
"""

import math

import numpy as np
from keras import ops

from yoto_tf.families.vae.registry import LIKELIHOODS

# The authors' floor of a standard deviation.
EPSILON = 1e-6


class Likelihood:
    """Base: what a likelihood of one's own defines.

    One with arguments returns them from `get_config()`, a dict.

    Attributes:
        outputs_per_channel: how many numbers the decoder gives per pixel and
            channel.

    Example:
        class Laplace(yoto_tf.Likelihood):
            def distortion(self, images, outputs):
                nats = abs(images - outputs) / 0.1 + math.log(0.2)
                return keras.ops.sum(nats, axis=(1, 2, 3))

            def mean(self, outputs):
                return keras.ops.clip(outputs, 0.0, 1.0)

            def blank_distortion(self, num_values):
                return num_values * (1 / 0.1 + math.log(0.2))

        yoto_tf.ModelConfig(likelihood=Laplace)
    """

    outputs_per_channel = 1

    def network_input(self, images):
        """Maps images in [0, 1] to what the encoder sees."""
        return images

    def distortion(self, images, outputs):
        """Scores images.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            outputs: of the decoder, `(batch, height, width,
                outputs_per_channel * channels)`.

        Returns:
            -log p(x|z), `(batch,)`, nats per image.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define distortion(images, outputs)"
        )

    def mean(self, outputs):
        """Returns the mean image in [0, 1]."""
        raise NotImplementedError(
            f"{type(self).__name__} must define mean(outputs)"
        )

    # What a distortion leaves out of -log p(x|z), nats per value.
    left_out = 0.0

    def noise_variance(self, images):
        """The variance of p(x|z) of a value, averaged over the values, where
        latents begin to tell something: from it the posterior's start for
        the data is worked out. Here, as a
        Gaussian has it that knows the mean image alone.

        Args:
            images: `(n, height, width, channels)` array in [0, 1].

        Returns:
            A float, above 0, in squares of the images' units.
        """
        return float(np.var(images, axis=0).mean())

    def blank_distortion(self, num_values):
        """Nats per image, of `num_values` numbers, of a predictor that knows
        nothing: the worst that an evaluation expects."""
        raise NotImplementedError(
            f"{type(self).__name__} must define blank_distortion(num_values)"
        )


class Bernoulli(Likelihood):
    """Independent Bernoulli per pixel and channel, on [0, 1].

    Images between 0 and 1 are scored by the cross-entropy, as the field does,
    although the Bernoulli is a distribution of 0 and 1 alone.
    """

    def distortion(self, images, outputs):
        """Scores images.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            outputs: logits of the same shape.

        Returns:
            `(batch,)`, nats per image.
        """
        # log(1 + exp(l)) - x l; softplus is stable for logits of any size.
        return ops.sum(ops.softplus(outputs) - images * outputs, axis=(1, 2, 3))

    def mean(self, outputs):
        """Returns the mean image in [0, 1]."""
        return ops.sigmoid(outputs)

    def noise_variance(self, images):
        # p (1 - p), the inverse of the cross-entropy's curvature at the mean
        # image.
        mean = np.mean(images, axis=0)
        return float((mean * (1 - mean)).mean())

    def blank_distortion(self, num_values):
        """Nats per image of a predictor that knows nothing: every value 0 or
        1 with even odds."""
        return num_values * math.log(2)


class Gaussian(Likelihood):
    """Gaussian with a learned scale per pixel and channel, on [-1, 1].

    The decoder gives twice as many channels as the image has: the mean, and
    the scale before softplus (authors' `output_distribution = 'gaussian'`).
    The density is of images in [-1, 1]; it can exceed 1, so distortions can
    be negative.
    """

    outputs_per_channel = 2

    def network_input(self, images):
        """Maps images in [0, 1] to [-1, 1]."""
        return images * 2 - 1

    def distortion(self, images, outputs):
        """Scores images.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            outputs: `(batch, height, width, 2 * channels)`.

        Returns:
            `(batch,)`, nats per image.
        """
        mean, raw = ops.split(outputs, 2, axis=-1)
        scale = ops.softplus(raw) + EPSILON
        residual = (self.network_input(images) - mean) / scale
        nats = 0.5 * ops.square(residual) + ops.log(scale)
        size = math.prod(images.shape[1:])
        return ops.sum(nats, axis=(1, 2, 3)) + size * 0.5 * math.log(
            2 * math.pi
        )

    def mean(self, outputs):
        """Returns the mean image, clipped to [0, 1]."""
        mean, _ = ops.split(outputs, 2, axis=-1)
        return ops.clip((mean + 1) / 2, 0.0, 1.0)

    def blank_distortion(self, num_values):
        """Nats per image of a predictor that knows nothing: mean 0, scale 1,
        at the worst image, all values -1 or 1."""
        return num_values * 0.5 * (math.log(2 * math.pi) + 1)


class SquaredError(Likelihood):
    """Gaussian with the variance 1/2 everywhere, on [0, 1], up to a constant.

    The distortion is the plain sum of squares, as in most code for beta-VAEs
    (Multi-Rate VAE's: Bae et al., ICLR 2023): -log p(x|z) of that Gaussian is
    larger by log(pi) / 2 per value.
    """

    left_out = math.log(math.pi) / 2

    def distortion(self, images, outputs):
        """Scores images.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            outputs: mean images of the same shape.

        Returns:
            `(batch,)`, nats per image, less a constant.
        """
        return ops.sum(ops.square(images - outputs), axis=(1, 2, 3))

    def mean(self, outputs):
        """Returns the mean image, clipped to [0, 1]."""
        return ops.clip(outputs, 0.0, 1.0)

    def noise_variance(self, images):
        return 0.5

    def blank_distortion(self, num_values):
        """Nats per image of a predictor that knows nothing: 1/2, at the worst
        image, all values 0 or 1."""
        return num_values * 0.25


def get(name):
    """Returns the likelihood that a setting names: `bernoulli`, `gaussian`,
    `squared_error` or one's own.

    Raises:
        InputError: if there is none, or it cannot be used.
    """
    return LIKELIHOODS.make(LIKELIHOODS.text(name))
