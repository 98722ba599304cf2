"""Means and scales of the latents from hyper-latents, twice: in float32 for
training, in whole numbers for files."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.compression import exact
from yoto_tf.compression.quality import STEPS
from yoto_tf.compression.tables import NUM_SCALES
from yoto_tf.families.compression.config import CompressionModelConfig
from yoto_tf.layers.spline import SplineFiLM


@keras.saving.register_keras_serializable("yoto_tf")
class HyperDecoder(keras.layers.Layer):
    """Three convolutions of 3x3, the first two doubling the sides.

    One set of float32 weights: `call` is the network that learns, `coded` the
    same with all its numbers rounded to those of `yoto_tf.compression.exact`,
    where the arithmetic is explained.

    Args:
        network: `CompressionModelConfig`, or its dict.
        told: whether there is a lambda to be told.

    Call arguments:
        z: `(batch, h, w, channels)` hyper-latents.
        conditioning: `(batch, 1)`.

    Returns:
        `(means, indices)`, each `(batch, 4 h, 4 w, latents)`: the second are
        places in `tables.SCALES`, not rounded.
    """

    def __init__(self, network, told, **kwargs):
        # The conditioning stays as it is, convolutions cast what they take.
        super().__init__(autocast=False, **kwargs)
        if isinstance(network, dict):
            network = CompressionModelConfig.from_dict(network)
        self.network, self.told = network, bool(told)
        width, config = network.channels, network.conditioning
        outputs = [4 * width, 4 * width, 2 * network.latents]
        self.inputs_of = [width] * 3
        self.convolutions = [
            keras.layers.Conv2D(
                num,
                3,
                padding="same",
                # The last one starts small: means of 0, one scale for all.
                kernel_initializer="he_normal"
                if i < 2
                else keras.initializers.VarianceScaling(0.01),
                name=f"convolution_{i}",
            )
            for i, num in enumerate(outputs)
        ]
        there = told and config.kind != "none" and "hyper" in config.sites
        self.sites = [
            SplineFiLM(config.knots, name=f"site_{i}") if there else None
            for i in range(3)
        ]

    def build(self, z_shape, conditioning_shape):
        for convolution, site, width in zip(
            self.convolutions, self.sites, self.inputs_of, strict=True
        ):
            if not convolution.built:
                convolution.build((None, None, None, width))
            if site is not None and not site.built:
                shape = (None, None, None, convolution.filters)
                site.build(shape, conditioning_shape)

    def call(self, z, conditioning):
        x = z
        for i in range(3):
            x = self.convolutions[i](x)
            if self.sites[i] is not None:
                x = self.sites[i](x, conditioning)
            if i < 2:
                x = ops.leaky_relu(tf.nn.depth_to_space(x, 2), exact.SLOPE)
        means, raw = ops.split(x, 2, -1)
        return means, raw * exact.INDICES_PER_UNIT + exact.FIRST_INDEX

    def compute_output_shape(self, z_shape, conditioning_shape):
        batch, height, width, _ = z_shape
        sides = (s if s is None else 4 * s for s in (height, width))
        shape = (batch, *sides, self.network.latents)
        return shape, shape

    def stages(self):
        """list of `exact.Stage`: its weights for NumPy."""
        return [
            exact.Stage(
                np.asarray(convolution.kernel),
                np.asarray(convolution.bias),
                None if site is None else np.asarray(_knots(site)),
            )
            for convolution, site in zip(
                self.convolutions, self.sites, strict=True
            )
        ]

    def coded(self, symbols, steps):
        """`exact.hyper_decoder` as a graph: the same numbers.

        Args:
            symbols: `(batch, h, w, channels)` whole numbers of any dtype.
            steps: `(batch,)` float64 whole numbers.

        Returns:
            `(indices, means)`: int32, and float64 multiples of 2**-10.
        """
        x = tf.cast(symbols, tf.float64) * exact.FEATURE
        x = tf.clip_by_value(x, -exact.MAX_FEATURE, exact.MAX_FEATURE)
        for i in range(3):
            x = _convolved(x, self.convolutions[i])
            if self.sites[i] is not None:
                scale, shift = _gains(_knots(self.sites[i]), steps)
                x = _rescaled(x * scale + shift)
            if i < 2:
                x = tf.nn.depth_to_space(x, 2)
                x = tf.where(x < 0, tf.floor(x * exact.SLOPE + 0.5), x)
        means, raw = tf.split(x, 2, -1)
        per_index = exact.FEATURE // exact.INDICES_PER_UNIT
        indices = tf.floor(raw / per_index + 0.5) + exact.FIRST_INDEX
        indices = tf.clip_by_value(indices, 0, NUM_SCALES - 1)
        return tf.cast(indices, tf.int32), means / exact.FEATURE

    def get_config(self):
        return {
            **super().get_config(),
            "network": self.network.to_dict(),
            "told": self.told,
        }


def _knots(site):
    """`(knots, 2, channels)`: scale - 1 and shift."""
    return ops.reshape(site.kernel, (site.knots, 2, -1))


def _whole(values, unit, limit):
    values = tf.cast(tf.convert_to_tensor(values), tf.float64)
    return tf.clip_by_value(tf.round(values * unit), -limit, limit)


def _gains(knots, steps):
    both = _whole(knots, exact.WEIGHT, exact.MAX_WEIGHT)
    place = steps * (knots.shape[0] - 1)
    below = tf.minimum(tf.floor(place / STEPS), knots.shape[0] - 2)
    share = (place - below * STEPS)[:, None, None]
    below = tf.cast(below, tf.int32)
    mixed = tf.gather(both, below) * (STEPS - share)
    mixed += tf.gather(both, below + 1) * share
    mixed = tf.floor(mixed / STEPS + 0.5)[:, :, None, None]
    return exact.WEIGHT + mixed[:, 0], mixed[:, 1] * exact.FEATURE


def _convolved(x, convolution):
    # Not `tf.nn.conv2d`, for which a device may choose an algorithm with
    # numbers that are not whole.
    patches = tf.image.extract_patches(
        x, (1, 3, 3, 1), (1, 1, 1, 1), (1, 1, 1, 1), "SAME"
    )
    kernel = _whole(convolution.kernel, exact.WEIGHT, exact.MAX_WEIGHT)
    kernel = tf.reshape(kernel, (-1, kernel.shape[-1]))
    sums = tf.matmul(tf.reshape(patches, (-1, patches.shape[-1])), kernel)
    sums += _whole(convolution.bias, exact.SUM, exact.MAX_BIAS)
    shape = tf.concat([tf.shape(x)[:3], [kernel.shape[-1]]], 0)
    return _rescaled(tf.reshape(sums, shape))


def _rescaled(sums):
    features = tf.floor(sums / exact.WEIGHT + 0.5)
    limit = exact.MAX_FEATURE
    return tf.clip_by_value(features, -limit, limit)
