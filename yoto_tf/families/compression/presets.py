"""Learned image compression with settings that suit it. Imports no
TensorFlow."""

from yoto_tf.families.compression.config import CompressionConditioningConfig
from yoto_tf.families.compression.config import CompressionConfig
from yoto_tf.families.compression.config import CompressionModelConfig
from yoto_tf.families.compression.config import CropsConfig
from yoto_tf.families.parts import Preset
from yoto_tf.objective_config import NormalizationConfig
from yoto_tf.settings import OptimizerConfig
from yoto_tf.settings import TrainingConfig

_COMPRESSION = CompressionConfig(
    model=CompressionModelConfig(
        conditioning=CompressionConditioningConfig(gain_exponent=0.25)
    ),
    # Bits / lambda + distortion: no lambda has the larger gradients.
    objective=NormalizationConfig(
        normalization="geometric_mean", normalization_power=2.0
    ),
    optimizer=OptimizerConfig(
        # After 4,000 steps of 1e-3 the bits of small lambdas rise again.
        learning_rate=5e-4,
        schedule="wsd",
        warmup_steps=200,
    ),
    training=TrainingConfig(steps=8_000, batch_size=4),
)
_SMOKE = CompressionConfig(
    data=CropsConfig(
        name="rendered_shapes3d/tiny",
        crop_size=64,
        cell_size=64,
        crops_per_cell=16,
        train_pictures=64,
        validation_pictures=8,
        test_pictures=8,
    ),
    model=CompressionModelConfig(
        channels=8,
        latents=12,
        conditioning=CompressionConditioningConfig(knots=3),
    ),
    optimizer=OptimizerConfig(learning_rate=3e-3),
    training=TrainingConfig(epochs=2, batch_size=8),
)

PRESETS = {
    "compression": Preset(
        summary="Pictures as files, for every quality",
        source="Mean-scale hyperprior of Minnen et al. (NeurIPS 2018) at a "
        "quarter of its width, with the GDN of Johnston et al. (2019) and "
        "whole numbers in the hyper-decoder (Balle et al., ICLR 2019); lambda "
        "of CompressAI's eight models. Ours: the conditioning.",
        cost="30 min on two cores that had other work, too (47 min of a "
        "processor), and a download of 7.5 GB; a folder of your own pictures "
        "(--data.name) needs none.",
        expect="Of nine photographs, seed 0: 0.22 bits per pixel and 31 dB at "
        "lambda 0.0018 to 0.66 and 36.8 at 0.18, on crops of two others.",
        config=_COMPRESSION,
        example_shape=(256, 256, 3),
    ),
    "compression_smoke": Preset(
        summary="Seconds: does compression run?",
        source="The smallest networks that have all parts.",
        cost="About 20 s.",
        expect="Files that can be read; the pictures are blurs.",
        config=_SMOKE,
        example_shape=(64, 64, 3),
    ),
}
