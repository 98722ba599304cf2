"""Models of compression that were not trained, but whose parts all count."""

import functools

import keras
import numpy as np

from yoto_tf.families.compression.config import CompressionConditioningConfig
from yoto_tf.families.compression.config import CompressionModelConfig
from yoto_tf.families.compression.model.hyperprior import CompressionModel
from yoto_tf.method.parameters import LogUniform

LOW, HIGH = 0.0018, 0.18


def make(seed=0, lmbda=None, **conditioning):
    """A model of a few channels, of weights from the seed.

    Args:
        seed: of them.
        lmbda: the one value of lambda; None: a range.
        **conditioning: of `CompressionConditioningConfig`.
    """
    given = {"knots": 3, **conditioning}
    network = CompressionModelConfig(
        channels=4,
        latents=6,
        conditioning=CompressionConditioningConfig(**given),
    )
    keras.utils.set_random_seed(seed)
    model = CompressionModel(
        network, {"lmbda": lmbda or LogUniform(LOW, HIGH)}, seed=seed
    )
    model(np.zeros((1, 64, 64, 3), "uint8"))
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        spread = 0.2 if "site" in weight.path or "bias" in weight.path else 0.05
        weight.assign(weight + rng.normal(size=weight.shape) * spread)
    # Latents of several units, and scales from the lowest to the highest.
    model.analysis[-1].kernel.assign(model.analysis[-1].kernel * 20)
    # Pictures that are neither black nor white.
    first, last = model.synthesis[0].layer, model.synthesis[-1]
    first.kernel.assign(first.kernel * 0.1)
    last.kernel.assign(last.kernel * 0.1)
    last.bias.assign(last.bias * 0.0)
    last = model.hyper_decoder.convolutions[-1]
    last.kernel.assign(rng.normal(size=last.kernel.shape) * 0.3)
    return model


@functools.cache
def tiny():
    return make()


@functools.cache
def tiny_codec():
    from yoto_tf.compression.codec import Codec

    return Codec(tiny())


def photo(height, width, seed=0):
    """A smooth picture with some noise, uint8 `(height, width, 3)`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40
    waves = [np.sin(x * a + y * b) for a, b in rng.normal(size=(3, 2))]
    noise = rng.normal(size=(height, width, 3)) * 8
    return np.clip(128 + 90 * np.stack(waves, -1) + noise, 0, 255).astype(
        "uint8"
    )
