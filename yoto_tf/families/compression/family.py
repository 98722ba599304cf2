"""What the scripts need to know of learned image compression. Imports no
TensorFlow."""

import copy
import dataclasses
from typing import Literal

import numpy as np

from yoto_tf import points
from yoto_tf.compression.pixels import SMALLEST_FOR_MS_SSIM
from yoto_tf.errors import InputError
from yoto_tf.families.base import Family
from yoto_tf.families.compression.config import DESCRIPTION
from yoto_tf.families.compression.config import DESCRIPTION_OF_SIMILARITY
from yoto_tf.families.compression.config import KNOB
from yoto_tf.families.compression.config import CompressionConfig
from yoto_tf.families.compression.presets import PRESETS
from yoto_tf.families.compression.view import VIEW
from yoto_tf.families.parts import LEARNING_RATE
from yoto_tf.families.parts import Column
from yoto_tf.families.parts import Dimension
from yoto_tf.families.parts import LineFigure

_RATE = Column("rate", "rate", ".3f", "bits per pixel")
_DISTORTION = Column("distortion", "distortion", ".1f", "255**2 MSE")
_DISSIMILARITY = Column("distortion", "distortion", ".4f", "1 - MS-SSIM")
_MS_SSIM = Column("ms_ssim", "MS-SSIM", ".2f", "dB")
_PSNR = Column("psnr", "PSNR", ".2f", "dB")
_LOSS = Column("full_loss", "full loss", ".3f", "bits per pixel")


class CompressionFamily(Family):
    """`CompressionModel`: pictures as few bits, for every lambda."""

    settings = CompressionConfig
    presets = PRESETS
    parameters = (KNOB,)
    columns = [_RATE, _PSNR, _DISTORTION, _LOSS]
    trade_off = (_RATE, _DISTORTION)
    objective = _LOSS
    unit = "bits per pixel"
    view = VIEW
    dimensions = [
        LEARNING_RATE,
        Dimension(
            "quantization",
            "model.quantization",
            Literal["noise", "mixed"],
            lambda settings: ["noise", "mixed"],
            "What the synthesis is given in training.",
        ),
    ]
    lines = [
        LineFigure(
            "psnr",
            "peak signal-to-noise ratio of the test crops, lambda by lambda; "
            "higher is better",
            _PSNR,
        )
    ]

    def for_settings(self, settings):
        distortion = _DISTORTION
        if settings.model.distortion == "ms_ssim":
            distortion = _DISSIMILARITY
        columns = [_RATE, _PSNR, distortion, _LOSS]
        if settings.data.cell_size >= SMALLEST_FOR_MS_SSIM:
            columns.insert(2, _MS_SSIM)
        made = copy.copy(self)
        made.columns, made.trade_off = columns, (_RATE, distortion)
        return made

    # Data.

    def check(self, settings):
        from yoto_tf.layers.factory import make_conditioning

        # A class of one's own.
        make_conditioning(settings.model.conditioning)

    def load(self, settings, parts=("train", "test"), known=None):
        from yoto_tf.families.compression.crops import load_cells

        # All of it: a part is some pictures.
        return load_cells(settings.data)

    def is_here(self, settings):
        from yoto_tf.data.splits import is_here

        return is_here(settings.data)

    def training_batches(self, settings, splits, batch_size, first_epoch):
        from yoto_tf.families.compression.crops import training_crops

        return training_crops(
            splits.train,
            batch_size,
            settings.data.crop_size,
            settings.training.seed,
            first_epoch,
        )

    def random_examples(self, preset, num):
        from yoto_tf.families.compression.crops import Cells

        rng = np.random.default_rng(0)
        shape = (num, *preset.example_shape)
        return Cells(rng.integers(0, 256, shape, np.uint8))

    # The model.

    def model(self, settings, splits):
        from yoto_tf.families.compression.model.hyperprior import (
            CompressionModel,
        )

        objective, parameter = settings.objective, settings.parameter
        if (
            settings.model.distortion == "ms_ssim"
            and parameter.description == DESCRIPTION
        ):
            parameter = dataclasses.replace(
                parameter, description=DESCRIPTION_OF_SIMILARITY
            )
        return CompressionModel(
            settings.model,
            {KNOB: parameter.parameter()},
            normalization=objective.normalization,
            normalization_power=objective.power,
            seed=settings.training.seed,
        )

    def register(self):
        import yoto_tf.families.compression.model.hyperprior  # noqa: F401

    def owns(self, model):
        from yoto_tf.families.compression.model.hyperprior import (
            CompressionModel,
        )

        return isinstance(model, CompressionModel)

    def judged(self, row, point):
        return row["rate"] + point[KNOB] * row["distortion"]

    def fixed(self, settings, point):
        return {
            "parameter.distribution": "constant",
            "parameter.values": (float(point[KNOB]),),
            "parameter.low": type(settings.parameter).low,
            "parameter.high": type(settings.parameter).high,
        }

    def unconditioned(self, settings):
        return {"model.conditioning.kind": "none"}

    # Scores.

    def grid(self, settings):
        values = settings.evaluation.lambdas
        if settings.parameter.distribution == "constant" or not values:
            values = settings.parameter.parameter().grid(5)
        return points.product({KNOB: values})

    def score(self, model, examples, grid, batch_size=500, seed=0, done=None):
        from yoto_tf.families.compression.scores import rate_distortion

        if len(examples) < 2:
            raise InputError(
                "expected two or more crops to score, received: "
                f"{len(examples)}"
            )
        return rate_distortion(model, examples, grid, done)

    # Pictures.

    def input_pictures(self, examples):
        return examples / np.float32(255)

    def output_pictures(self, model, examples, point):
        asked = model.loss_parameters.numbers(
            {n: point[n] for n in model.loss_parameters.varying}
        )
        # Not by `predict`, in which the processes of one training would wait
        # for each other: one alone shows pictures.
        parts = (examples[i : i + 8] for i in range(0, len(examples), 8))
        return np.concatenate(
            [model(x, asked, training=False)["image"] for x in parts]
        )

    # Serving.

    def endpoints(self, model, invalid_rows="error", example=lambda: None):
        # These make up their pictures.
        from yoto_tf.families.compression.endpoints import compression_endpoints

        return compression_endpoints(model, invalid_rows)

    def released_snippet(self, name):
        return (
            "from yoto_tf.compression import Codec\n\n"
            "codec = Codec.load()\n"
            "data = codec.compress(pixels, quality=40)"
        )

    def facts(self, model):
        from yoto_tf.compression.fingerprint import fingerprint_of

        similar = model.network.distortion == "ms_ssim"
        distortion = _DISSIMILARITY if similar else _DISTORTION
        return {
            "fingerprint": fingerprint_of(model).hex(),
            "latents": model.network.latents,
            "units": f"rate in bits per pixel, distortion {distortion.unit}",
        }


FAMILY = CompressionFamily()
