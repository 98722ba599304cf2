"""Pictures as bytes and back: NumPy in and out."""

import dataclasses
from pathlib import Path

import numpy as np

from yoto_tf.compression import container
from yoto_tf.compression import symbol_files
from yoto_tf.compression import tables
from yoto_tf.compression import targets
from yoto_tf.compression.fingerprint import fingerprint_of
from yoto_tf.compression.pixels import checked
from yoto_tf.compression.pixels import cropped
from yoto_tf.compression.pixels import filled
from yoto_tf.compression.pixels import of_channels
from yoto_tf.compression.pixels import psnr_of
from yoto_tf.compression.quality import quality_of
from yoto_tf.compression.quality import step_for
from yoto_tf.errors import InputError

RELEASED = "compression"
"""Preset of the model that comes with the library."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a file would be, without writing it.

    Attributes:
        quality: 0 to 100; None of a model of one quality.
        bits: of the file.
        bits_per_pixel: of the file.
        psnr: of what is read from it against the picture, in dB.
    """

    quality: float | None
    bits: float
    bits_per_pixel: float
    psnr: float


class Codec:
    """Writes and reads the files of one model.

    Args:
        model: a model of the family `compression`.

    Attributes:
        model: it.
        fingerprint: of its weights, 8 bytes; files carry it.

    Raises:
        InputError: for a model of another kind, or without finite weights.

    A codec is of the weights that its model has then: it refuses to write or
    read when these have changed.

    Example:
        codec = Codec.load()
        data = codec.compress(pixels, quality=40)
        pixels = codec.decompress(data)
    """

    def __init__(self, model):
        needed = ("coded", "hyper_symbols_of", "picture_of", "stages")
        if not all(hasattr(model, name) for name in needed):
            raise InputError(
                "expected a model of the family compression, received: a "
                f"{type(model).__name__}"
            )
        from yoto_tf.compression.transforms import Transforms

        for weight in model.trainable_variables:
            if not np.isfinite(np.asarray(weight)).all():
                raise InputError(
                    "expected a model with finite weights, received: "
                    f"{weight.path} without"
                )
        self.model = model
        self._counts = model.prior.counts()
        self._transforms = Transforms(model)
        self.fingerprint = fingerprint_of(model)

    @classmethod
    def load(cls, path=None):
        """Loads a model.

        Args:
            path: of a run directory or a `.keras` file; None: the model that
                comes with the library.

        Raises:
            InputError: for another path or model.
        """
        from yoto_tf import released
        from yoto_tf.models import load_model
        from yoto_tf.run_directory import RunDirectory

        path = released.run(RELEASED).path if path is None else Path(path)
        if path.is_dir():
            return cls(RunDirectory(path).load_model())
        if not path.is_file():
            raise InputError(
                "expected a run directory or a .keras file, received: "
                f"{path}, which is not there"
            )
        return cls(load_model(path))

    @property
    def has_qualities(self):
        """Whether there is more than one."""
        low, high = self.model.lambda_ends
        return low < high

    def compress(self, pixels, quality=None):
        """The bytes of a file.

        Args:
            pixels: uint8 `(height, width, 3)`, or grey `(height, width)` or
                `(height, width, 1)`.
            quality: 0 to 100; default: 50.

        Raises:
            InputError: for other pixels or another quality.
        """
        rgb, channels = checked(pixels)
        return self._compressed(rgb, channels, self._step(quality))

    def compress_to(self, pixels, bits_per_pixel=None, psnr=None):
        """The bytes of a file that is as large, or as good, as is asked for.

        The quality is searched on estimates, none of which is written.

        Args:
            pixels: as of `compress`.
            bits_per_pixel: of the file, met within 2 %, and four bytes.
            psnr: in dB, met within 0.1.

        Returns:
            `(bytes, Estimate)`.

        Raises:
            InputError: for a target out of reach; it says what is in reach.
        """
        if (bits_per_pixel is None) == (psnr is None):
            raise InputError(
                "expected bits_per_pixel or psnr, one of them, received: "
                f"bits_per_pixel={bits_per_pixel!r}, psnr={psnr!r}"
            )
        if not self.has_qualities:
            raise InputError(
                "expected no target for a model of one quality, received: "
                f"bits_per_pixel={bits_per_pixel!r}, psnr={psnr!r}"
            )
        rgb, channels = checked(pixels)
        if psnr is None:
            step = targets.bits_per_pixel(
                lambda step: self._bits_per_pixel(rgb, step), bits_per_pixel
            )
        else:
            step = targets.psnr(
                lambda step: self._estimate(rgb, channels, step).psnr, psnr
            )
        return (
            self._compressed(rgb, channels, step),
            self._estimate(rgb, channels, step),
        )

    def estimate(self, pixels, quality=None):
        """The `Estimate` of a file; arguments as of `compress`."""
        rgb, channels = checked(pixels)
        return self._estimate(rgb, channels, self._step(quality))

    def decompress(self, data):
        """The pixels of a file, uint8 `(height, width, 3)` or
        `(height, width)`.

        Raises:
            InputError: for bytes that are no whole file of this model, or
                whose symbols are not those that were written.
        """
        self._check_weights()
        file, hyper_symbols, symbols = symbol_files.read(
            data, self.fingerprint, self._counts, self._transforms.indices
        )
        rgb = self._transforms.synthesize(hyper_symbols, symbols, file.step)
        return cropped(rgb, file)

    def _step(self, quality):
        return step_for(quality, *self.model.lambda_ends)

    def _check_weights(self):
        """Of others the file would be one that no model reads."""
        if fingerprint_of(self.model) != self.fingerprint:
            raise InputError(
                "expected the weights that this codec was made with, received: "
                "a model that was trained or loaded since; Codec(model) makes "
                "another"
            )

    def _compressed(self, rgb, channels, step):
        self._check_weights()
        parts = self._transforms.analyze(filled(rgb), step)
        return symbol_files.write(
            rgb, channels, step, self.fingerprint, parts, self._counts
        )

    def _bits(self, parts):
        hyper_symbols, symbols, indices = parts
        bits = tables.hyper_bits(hyper_symbols[None], self._counts).sum()
        # Row by row: what all of them look up would be large.
        for row, where in zip(symbols, indices, strict=True):
            bits += tables.symbol_bits(row, where).sum()
        return float(bits) + 8 * container.HEADER_BYTES

    def _bits_per_pixel(self, rgb, step):
        parts = self._transforms.analyze(filled(rgb), step)
        return self._bits(parts) / (rgb.shape[0] * rgb.shape[1])

    def _estimate(self, rgb, channels, step):
        height, width, _ = rgb.shape
        parts = self._transforms.analyze(filled(rgb), step)
        bits = self._bits(parts)
        made = self._transforms.synthesize(*parts[:2], step)[:height, :width]
        return Estimate(
            quality_of(step) if self.has_qualities else None,
            bits,
            bits / (height * width),
            # Of what is read back: of a grey picture one channel.
            psnr_of(of_channels(rgb, channels), of_channels(made, channels)),
        )
