"""Latents that died in training, and how they get a second start.

When training begins at a large loss weight, or spends much of its time there,
latents that only small weights need stop carrying anything and then get no
gradient that would bring them back. As the codes of a VQ-VAE that nothing
chooses are restarted (Dhariwal et al., Jukebox, 2020, section 3.1), such
latents get new weights; here they begin closed at large loss weights, whose
code is left alone.
"""

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.layers.posterior import rate_per_latent
from yoto_tf.models.conv_vae import ConditionalVAE


def latent_rates(model, images, beta):
    """Returns the rate of every latent, `(latent_size,)` nats per image.

    Args:
        model: `ConditionalVAE`.
        images: `(n, size, size, channels)`, uint8 or in [0, 1].
        beta: in the trained range.
    """
    rates = rate_per_latent(*model.encode(images, beta))
    return ops.convert_to_numpy(ops.mean(rates, axis=0))


def restart_latents(model, which, seed):
    """Gives latents new weights, closed at large beta.

    In the encoder the weights of mean and variance are drawn anew and their
    modulation starts as at birth, but that the slope of the variance in
    log(beta) is doubled above the middle of the range, where the latent so
    carries nothing; there it does not enter the decoder either. The decoder's
    weights of it are drawn anew, too. Nothing else changes: what the other
    latents carry, at any beta, stays.

    Args:
        model: `ConditionalVAE` of a restartable configuration.
        which: numbers of the latents.
        seed: of the draws.
    """
    which = np.asarray(which, "int32")
    variances = which + model.model_config.latent_size
    posterior = model.encoder.stages[-1]
    told = posterior.conditioning
    offset, slope = told.start
    line = offset + slope * told.positions * np.where(told.positions > 0, 2, 1)
    _redraw(posterior.layer, np.append(which, variances), 1, seed)
    told.set_channels(which, scale=1.0, shift=0.0)
    told.set_channels(variances, scale=1.0, shift=line)
    latent, dense = model.decoder.stages[:2]
    told = latent.conditioning
    gain = np.where(told.positions > 0, 0.0, 1.0)
    told.set_channels(which, scale=gain, shift=0.0)
    _redraw(dense.layer, which, 0, seed + 1)


def _redraw(dense, which, axis, seed):
    """Draws rows or columns of a kernel as its initializer does."""
    config = dense.kernel_initializer.get_config()
    initializer = type(dense.kernel_initializer)(**{**config, "seed": seed})
    fresh = np.asarray(initializer(dense.kernel.shape))
    kernel = np.array(dense.kernel)
    index = (slice(None),) * axis + (which,)
    kernel[index] = fresh[index]
    dense.kernel.assign(kernel)


class RestartLatents(keras.callbacks.Callback):
    """Restarts dead latents of a `ConditionalVAE` while it is trained.

    A latent is dead that carries next to nothing at the smallest beta: it
    carries less at every other.

    Args:
        at: numbers of finished train steps after which it looks; with
            `steps_per_execution`, at the next end of an execution.
        images: `(n, size, size, channels)` uint8 to look with; a few hundred
            are enough.
        below: rate in nats per image at the smallest beta below which a
            latent is dead.
        log: called with a sentence that says which were restarted.

    Raises:
        InputError: in `fit`, for a model that is not restartable.
    """

    def __init__(self, at, images, below=0.2, log=print):
        super().__init__()
        self.at = tuple(at)
        self.images = images
        self.below = below
        self.log = log

    def on_train_begin(self, logs=None):
        if not isinstance(self.model, ConditionalVAE):
            raise InputError(
                "expected a ConditionalVAE to restart latents of, received: "
                f"a {type(self.model).__name__}"
            )
        self.model.model_config.check_restartable()
        self._looked = self._step()

    def on_train_batch_end(self, batch, logs=None):
        before, step = self._looked, self._step()
        self._looked = step
        if not any(before < due <= step for due in self.at):
            return
        low = self.model.beta_range.grid(2)[0]
        rates = latent_rates(self.model, self.images, low)
        dead = np.flatnonzero(rates < self.below)
        # The same draws in a run that was cut off and continued.
        seeds = np.random.SeedSequence([self.model.seed or 0, step])
        restart_latents(self.model, dead, int(seeds.generate_state(1)[0]))
        names = ", ".join(map(str, dead)) or "none"
        self.log(f"step {step:,}: latents restarted: {names}")

    def _step(self):
        return int(ops.convert_to_numpy(self.model.optimizer.iterations))
