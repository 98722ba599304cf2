"""What users call of a VAE, one half of it at a time."""

import numbers

import keras
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.families.vae.model import inputs as model_inputs
from yoto_tf.method.asking import values_for
from yoto_tf.seeds import checked_seed


class Coding:
    """Encodes, decodes and samples, of a `ConditionalVAE`."""

    def encode(self, images, beta=None, loss_parameters=None):
        """Returns `(mean, stddev)` of q(z|x, beta), `(batch, latent_size)`.

        Args:
            images: `(batch, size, size, channels)`, uint8 or in [0, 1].
            beta: in the trained range; a number or one per image.
            loss_parameters: dict, of further parameters.

        Raises:
            InputError: for images or betas that are not so.
        """
        images = model_inputs.checked_images(images, self.image_shape)
        values = self._values(images, beta, loss_parameters)
        # Drawn, it would move the noise of training on.
        none = ops.zeros((ops.shape(images)[0], self.model_config.latent_size))
        _, mean, stddev = self.posterior_of(images, values, none)
        return mean, stddev

    def decode(self, latents, beta=None, loss_parameters=None):
        """Returns mean images in [0, 1] of `latents` `(batch, latent_size)`.

        Raises:
            InputError: for latents of another shape, or betas outside the
                trained range.
        """
        latents = model_inputs.checked_latents(
            latents, self.model_config.latent_size
        )
        values = self._values(latents, beta, loss_parameters)
        return self.likelihood.mean(self.likelihood_of(latents, values))

    def reconstruct(self, images, beta=None, loss_parameters=None):
        """Returns the mean image at the posterior's mean; see `encode`."""
        mean, _ = self.encode(images, beta, loss_parameters)
        return self.decode(mean, beta, loss_parameters)

    def sample(self, num, beta=None, seed=None, loss_parameters=None):
        """Draws `num` images from the prior, `(num, size, size, channels)`.

        Args:
            num: number of images, 1 or more.
            beta, loss_parameters: as for `encode`.
            seed: the same seed gives the same latents for any beta.
        """
        if not isinstance(num, numbers.Integral) or num < 1:
            raise InputError(
                f"expected num above 0, a whole number, received: num={num!r}"
            )
        shape = num, self.model_config.latent_size
        noise = keras.random.normal(shape, seed=checked_seed(seed))
        return self.decode(noise, beta, loss_parameters)

    def _values(self, x, beta, loss_parameters):
        asked = {} if loss_parameters is None else loss_parameters
        if beta is not None and isinstance(asked, dict):
            asked = {**asked, "beta": beta}
        return values_for(x, self.loss_parameters, asked)
