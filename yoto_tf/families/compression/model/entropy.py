"""How many bits latents take: under Gaussians, and under a learned prior."""

import zlib

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.compression import tables

# Probabilities below are taken as so much: a symbol costs 30 bits at most.
_LEAST = 1e-9
_LOG_2 = 0.6931471805599453
# Hyper-latents beyond are escapes.
FURTHEST = 63


def noisy_gaussian_bits(residuals, indices):
    """Bits of residuals with noise in place of rounding, for training.

    Args:
        residuals: float32, latents less their means.
        indices: places in `tables.SCALES`, not rounded, of the same shape.

    Returns:
        The same shape.
    """
    # Its gradient passes the ends: what has left them must come back.
    clipped = ops.clip(indices, 0, tables.NUM_SCALES - 1)
    inside = indices + ops.stop_gradient(clipped - indices)
    width = ops.exp(inside * -tables.LOG_RATIO) / tables.LOWEST_SCALE
    width = width * float(np.sqrt(0.5))
    distance = ops.abs(residuals)
    # Of the upper tail, where small probabilities keep their digits.
    likelihood = tf.math.erfc((distance - 0.5) * width)
    likelihood -= tf.math.erfc((distance + 0.5) * width)
    return -ops.log(likelihood / 2 + _LEAST) / _LOG_2


def coded_gaussian_bits(symbols, indices):
    """Bits of rounded residuals by the tables of files, in a graph.

    Args:
        symbols: int32, any shape with the batch first.
        indices: int32 places in `tables.SCALES`.

    Returns:
        float32 `(batch,)`.
    """
    table = tables.gaussian_bits()
    furthest = (table.shape[-1] - 2) // 2
    inside = tf.abs(symbols) <= furthest
    place = tf.where(inside, symbols + furthest, table.shape[-1] - 1)
    flat = tf.constant(table.ravel(), tf.float32)
    return _summed(tf.gather(flat, indices * table.shape[-1] + place))


def coded_hyper_bits(symbols, counts):
    """As `coded_gaussian_bits`, of hyper-latents under tables.

    Args:
        symbols: int32 `(batch, h, w, channels)`.
        counts: `(channels, n)` array.
    """
    table = tables.bits_of(np.asarray(counts, "float64"))
    channels, entries = table.shape
    furthest = (entries - 2) // 2
    inside = tf.abs(symbols) <= furthest
    place = tf.where(inside, symbols + furthest, entries - 1)
    place += tf.range(channels) * entries
    return _summed(tf.gather(tf.constant(table.ravel(), tf.float32), place))


def _summed(bits):
    return tf.reduce_sum(bits, tuple(range(1, len(bits.shape))))


@keras.saving.register_keras_serializable("yoto_tf")
class FactorizedPrior(keras.layers.Layer):
    """A distribution of its own for each channel: a mixture of logistics.

    Its probabilities of whole numbers are kept as tables beside the weights
    that they were made of, so that a model that is loaded elsewhere codes by
    the same tables, whatever the exponentials there give.

    Call arguments:
        z: `(batch, h, w, channels)`.

    Returns:
        `(batch, h, w, channels)`: bits of [z - 1/2, z + 1/2].
    """

    _PARTS = 5
    # Where the mixture starts: broad, for hyper-latents of any size.
    _LOCATIONS, _SCALE = 8.0, 3.0

    def __init__(self, **kwargs):
        # Differences of probabilities need more than half precision.
        super().__init__(autocast=False, **kwargs)

    def build(self, shape):
        channels = shape[-1]

        def start(shape, dtype=None):
            locations = np.linspace(
                -self._LOCATIONS, self._LOCATIONS, self._PARTS
            )
            logs = np.full(self._PARTS, np.log(self._SCALE))
            row = np.stack([locations, logs, np.zeros(self._PARTS)])
            return ops.convert_to_tensor(
                np.tile(row[:, None], (1, channels, 1)), dtype
            )

        # Locations, logarithms of scales, logits of shares.
        self.mixture = self.add_weight(
            (3, channels, self._PARTS),
            start,
            name="mixture",
            autocast=False,
        )
        self.table = self.add_weight(
            (channels, 2 * FURTHEST + 2),
            "zeros",
            trainable=False,
            name="table",
        )
        # CRC-32 of the mixture, in two halves that float32 holds.
        self.made_from = self.add_weight(
            (2,), "zeros", trainable=False, name="made_from"
        )

    def call(self, z):
        z = ops.cast(z, self.variable_dtype)
        locations, logs, logits = ops.unstack(self.mixture, 3)
        distance = ops.expand_dims(z, -1) - locations
        # Of the lower tail, where small probabilities keep their digits.
        distance = -ops.abs(distance)
        width = ops.exp(-logs)
        likelihood = ops.sigmoid((distance + 0.5) * width)
        likelihood -= ops.sigmoid((distance - 0.5) * width)
        likelihood = ops.sum(likelihood * ops.softmax(logits), -1)
        bits = -ops.log(likelihood + _LEAST) / _LOG_2
        return ops.cast(bits, self.compute_dtype)

    def compute_output_shape(self, shape):
        return shape

    def counts(self):
        """Tables of whole numbers, int64 `(channels, n)`; those of the file,
        if the weights are those of the file."""
        halves = divmod(zlib.crc32(np.asarray(self.mixture).tobytes()), 2**16)
        made = (np.asarray(self.made_from) == halves).all()
        # A table that was never made has no counts.
        if not made or not np.asarray(self.table).any():
            self.table.assign(tables.as_counts(self._probabilities()))
            self.made_from.assign(halves)
        return np.asarray(self.table).astype("int64")

    def _probabilities(self):
        """Of -FURTHEST to FURTHEST, `(channels, 2 FURTHEST + 1)` float64."""
        locations, logs, logits = np.float64(self.mixture)[:, :, None]
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        z = np.arange(-FURTHEST, FURTHEST + 1)[:, None]
        distance, width = -np.abs(z - locations), np.exp(-logs)
        parts = _sigmoid((distance + 0.5) * width)
        parts -= _sigmoid((distance - 0.5) * width)
        return (parts * shares).sum(-1)

    def save_own_variables(self, store):
        self.counts()
        super().save_own_variables(store)


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))
