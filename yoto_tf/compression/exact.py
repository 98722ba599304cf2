"""The hyper-decoder in whole numbers, which all machines compute alike.

What writes a file and what reads it must agree on every probability. Networks
of float32 do not: their sums depend on the order, which differs with threads,
batches and processors (Balle et al., Integer networks for data compression
with latent-variable models, ICLR 2019). Here weights and features are whole
numbers held in float64, whose sums stay below 2**53 and so are exact in any
order. Features have the unit 2**-10, weights 2**-12, sums of their products
2**-22.

This is the form in NumPy; `yoto_tf.families.compression.model.hyper_decoder`
has the one in TensorFlow, and a test compares the two.
"""

import dataclasses

import numpy as np

from yoto_tf.compression.quality import STEPS
from yoto_tf.compression.tables import NUM_SCALES

FEATURE = 2**10
WEIGHT = 2**12
SUM = FEATURE * WEIGHT
# Features and weights are clipped: 2**22 * 2**17 * 2**13 products < 2**53.
MAX_FEATURE = 2**22
MAX_WEIGHT = 2**17
MAX_PRODUCTS = 2**13
MAX_BIAS = 2**42
# Of leaky ReLU.
SLOPE = 0.125
# The index of a scale where the network says 0, and its steps per unit.
FIRST_INDEX = 24
INDICES_PER_UNIT = 8


@dataclasses.dataclass(frozen=True)
class Stage:
    """A convolution of 3x3, its conditioning, and what follows.

    Attributes:
        kernel: `(3, 3, inputs, outputs)` float32.
        bias: `(outputs,)` float32.
        knots: `(n, 2, outputs)` float32: scale - 1 and shift at n values
            of the quality, evenly over 0 to 100; None: there are none.
    """

    kernel: np.ndarray
    bias: np.ndarray
    knots: np.ndarray | None = None


def whole(values, unit, limit):
    """Float32 weights as whole numbers of 1 / unit, clipped, in float64."""
    # Multiplied by a power of two, which is exact.
    return np.clip(np.rint(np.float64(values) * unit), -limit, limit)


def gains(knots, steps):
    """Scale and shift at steps of the quality, between the nearest knots.

    Args:
        knots: of a `Stage`.
        steps: `(batch,)` whole numbers from 0 to `STEPS`.

    Returns:
        `(scale, shift)`, each `(batch, 1, 1, outputs)` whole numbers, of
        1 / WEIGHT and 1 / SUM.
    """
    both = whole(knots, WEIGHT, MAX_WEIGHT)
    place = np.asarray(steps, "float64") * (len(knots) - 1)
    below = np.minimum(np.floor(place / STEPS), len(knots) - 2)
    share = (place - below * STEPS)[:, None, None]
    below = below.astype(int)
    mixed = both[below] * (STEPS - share) + both[below + 1] * share
    mixed = np.floor(mixed / STEPS + 0.5)[:, :, None, None]
    return WEIGHT + mixed[:, 0], mixed[:, 1] * FEATURE


def hyper_decoder(stages, symbols, steps):
    """Means and scales of the latents, from decoded hyper-latents.

    Args:
        stages: three `Stage`s.
        symbols: `(batch, h, w, channels)` whole numbers.
        steps: `(batch,)` of the quality.

    Returns:
        `(indices, means)`, each `(batch, 4 h, 4 w, latents)`: uint8 places
        in `tables.SCALES`, and float64 multiples of 1 / FEATURE.
    """
    x = np.clip(np.float64(symbols) * FEATURE, -MAX_FEATURE, MAX_FEATURE)
    for number, stage in enumerate(stages):
        x = _convolved(x, stage)
        if stage.knots is not None:
            scale, shift = gains(stage.knots, steps)
            x = _rescaled(x * scale + shift)
        if number < len(stages) - 1:
            x = _shuffled(x)
            x = np.where(x < 0, np.floor(x * SLOPE + 0.5), x)
    means, raw = np.split(x, 2, -1)
    per_index = FEATURE // INDICES_PER_UNIT
    indices = np.floor(raw / per_index + 0.5) + FIRST_INDEX
    indices = np.clip(indices, 0, NUM_SCALES - 1).astype("uint8")
    return indices, means / FEATURE


def _convolved(x, stage):
    """Convolution with zeros beyond the edges, back in features' units."""
    _, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = whole(stage.kernel, WEIGHT, MAX_WEIGHT)
    sums = whole(stage.bias, SUM, MAX_BIAS)
    for i in range(3):
        for j in range(3):
            shifted = padded[:, i : i + height, j : j + width]
            sums = sums + shifted @ kernel[i, j]
    return _rescaled(sums)


def _rescaled(sums):
    """From sums of products to features, rounded and clipped."""
    return np.clip(np.floor(sums / WEIGHT + 0.5), -MAX_FEATURE, MAX_FEATURE)


def _shuffled(x):
    """Four channels become a square of 2x2 pixels."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, 2 * height, 2 * width, channels // 4)
