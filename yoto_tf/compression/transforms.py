"""Pictures of any size through a model's networks, with bounded memory.

Of what is larger than a part each part goes through alone, with what the
networks see around it, so that there are no seams: the numbers are those of the
whole picture, up to roundings of float32.
"""

import numpy as np
import tensorflow as tf

from yoto_tf.compression import exact
from yoto_tf.compression import tables
from yoto_tf.compression.quality import lambda_of
from yoto_tf.compression.tiles import scaled
from yoto_tf.compression.tiles import tiles
from yoto_tf.method.precision import in_float32

# Pixels of one latent and of one hyper-latent, a side.
LATENT, HYPER = 16, 64
# Of a part, in latents; a picture of no more pixels is read whole.
CORE = 64
WHOLE_PIXELS = (CORE * LATENT) ** 2
# What the networks see: of the picture 45 pixels for a latent, of the latents
# 3 for a pixel and 10 for a hyper-latent, of those 2 for a latent.
_MARGIN, _HYPER_MARGIN, _SCALES_MARGIN = 4, 12, 2


class Transforms:
    """The networks of one model, on arrays.

    Args:
        model: that can be coded by; see `yoto_tf.compression.codec`.
    """

    def __init__(self, model):
        image = tf.TensorSpec((1, None, None, 3), tf.uint8)
        floats = tf.TensorSpec((1, None, None, None), tf.float32)
        lmbda = tf.TensorSpec((1,), tf.float32)

        def graph(function, first):
            def traced(*given):
                # Two machines read the same picture.
                with in_float32(model):
                    return function(*given)

            return tf.function(
                traced, input_signature=[first, lmbda], autograph=False
            )

        latents = tf.TensorSpec((1, None, None, model.network.latents))
        self._latents_of = graph(model.latents_of, image)
        self._hyper_symbols_of = graph(model.hyper_symbols_of, latents)
        self._picture_of = graph(model.picture_of, floats)
        self._model = model
        self._stages = model.stages()

    def analyze(self, pixels, step):
        """All symbols of a picture.

        Args:
            pixels: `(height, width, 3)` uint8, sides multiples of 64.
            step: of the quality.

        Returns:
            `(hyper_symbols, symbols, indices)`: int32 `(h, w, channels)`,
            int32 and uint8 `(4 h, 4 w, latents)`.
        """
        lmbda = self._lambda(step)
        y = self._latents(pixels, lmbda)
        hyper_symbols = self._hyper_symbols(y, lmbda)
        symbols = np.empty(y.shape, "int32")
        indices = np.empty(y.shape, "uint8")
        limit = tables.MAX_SYMBOL
        for core in self._cores(hyper_symbols):
            found, means = self._scales(hyper_symbols, core, step)
            indices[core] = found
            rounded = np.rint(y[core].astype("float64") - means)
            symbols[core] = np.clip(rounded, -limit, limit)
        return hyper_symbols, symbols, indices

    def indices(self, hyper_symbols, step):
        """The scales of the latents, uint8, of decoded hyper-latents."""
        found = np.empty(self._shape(hyper_symbols), "uint8")
        for core in self._cores(hyper_symbols):
            found[core], _ = self._scales(hyper_symbols, core, step)
        return found

    def synthesize(self, hyper_symbols, symbols, step):
        """The picture of symbols, uint8 `(height, width, 3)`."""
        lmbda = self._lambda(step)
        height, width, _ = self._shape(hyper_symbols)
        found = np.empty((height * LATENT, width * LATENT, 3), "uint8")
        whole = height * width * LATENT**2 <= WHOLE_PIXELS
        core = max(height, width) if whole else CORE
        for tile in tiles(height, width, core, _MARGIN):
            _, means = self._scales(hyper_symbols, tile.outer, step)
            y = symbols[tile.outer] + means
            picture = self._picture_of(y[None].astype("float32"), lmbda)
            part = picture.numpy()[0][scaled(tile.inner, LATENT)]
            found[scaled(tile.core, LATENT)] = np.rint(part * 255)
        return found

    def _lambda(self, step):
        return np.array([lambda_of(step, *self._model.lambda_ends)], "float32")

    def _latents(self, pixels, lmbda):
        height, width = (side // LATENT for side in pixels.shape[:2])
        y = np.empty((height, width, self._model.network.latents), "float32")
        for tile in tiles(height, width, CORE, _MARGIN):
            part = pixels[scaled(tile.outer, LATENT)]
            found = self._latents_of(part[None], lmbda).numpy()[0]
            y[tile.core] = found[tile.inner]
        return y

    def _hyper_symbols(self, y, lmbda):
        ratio = HYPER // LATENT
        height, width = (side // ratio for side in y.shape[:2])
        z = np.empty((height, width, self._model.network.channels), "int32")
        for tile in tiles(height, width, CORE, _HYPER_MARGIN // ratio):
            part = y[scaled(tile.outer, ratio)]
            found = self._hyper_symbols_of(part[None], lmbda).numpy()[0]
            z[tile.core] = found[tile.inner]
        return z

    def _shape(self, hyper_symbols):
        ratio = HYPER // LATENT
        height, width, _ = hyper_symbols.shape
        return height * ratio, width * ratio, self._model.network.latents

    def _cores(self, hyper_symbols):
        height, width, _ = self._shape(hyper_symbols)
        for tile in tiles(height, width, CORE, 0):
            yield tile.core

    def _scales(self, hyper_symbols, part, step):
        """Indices and means of a part of the latents, a pair of slices."""
        ratio = HYPER // LATENT
        outer, inner = [], []
        for s, side in zip(part, hyper_symbols.shape[:2], strict=True):
            first = max(s.start // ratio - _SCALES_MARGIN, 0)
            last = min(-(-s.stop // ratio) + _SCALES_MARGIN, side)
            outer.append(slice(first, last))
            start = s.start - first * ratio
            inner.append(slice(start, start + s.stop - s.start))
        known = hyper_symbols[tuple(outer)][None]
        indices, means = exact.hyper_decoder(self._stages, known, [step])
        return indices[0][tuple(inner)], means[0][tuple(inner)]
