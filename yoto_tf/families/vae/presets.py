"""Named experiments: where their numbers come from, what they cost and what
to expect of them."""

import dataclasses

from yoto_tf.families.parts import Preset
from yoto_tf.families.vae.config import EvaluationConfig
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.loss_config import BetaConfig
from yoto_tf.families.vae.loss_config import ObjectiveConfig
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.image_config import DataConfig
from yoto_tf.settings import OptimizerConfig
from yoto_tf.settings import TrainingConfig


def _powers_of_two(first, last):
    return tuple(2.0**k for k in range(first, last + 1))


# Others draw betas evenly, and let no weight rise.
_PLAIN = ObjectiveConfig(warm_up=0.0)


def _form(preset, conditioning):
    """A preset in another's form: its conditioning, a posterior that starts at
    one variance, even draws and no KL warm-up."""
    return dataclasses.replace(
        preset,
        model=dataclasses.replace(
            preset.model, posterior="softplus", conditioning=conditioning
        ),
        beta=dataclasses.replace(preset.beta, adaptive=0.0),
        objective=_PLAIN,
    )


_RENDERED_SHAPES3D = ExperimentConfig(
    data=DataConfig(name="rendered_shapes3d"),
    model=ModelConfig(
        likelihood="bernoulli",
        latent_size=10,
        base_channels=8,
        convs_per_block=1,
        dense_units=256,
    ),
    beta=BetaConfig(low=0.5, high=512.0),
    optimizer=OptimizerConfig(
        learning_rate=1e-2,
        schedule="wsd",
        warmup_steps=100,
        beta_2=0.99,
    ),
    training=TrainingConfig(epochs=20, batch_size=64),
    evaluation=EvaluationConfig(
        betas=_powers_of_two(-1, 9), watched_betas=(1.0, 16.0, 256.0)
    ),
)

_CIFAR10 = ExperimentConfig(
    data=DataConfig(name="cifar10"),
    model=ModelConfig(
        likelihood="bernoulli",
        latent_size=256,
        base_channels=8,
        convs_per_block=2,
        dense_units=256,
    ),
    beta=BetaConfig(low=0.125, high=512.0),
    optimizer=OptimizerConfig(
        learning_rate=1.5e-3,
        schedule="wsd",
        warmup_steps=300,
        weight_decay=1e-5,
    ),
    training=TrainingConfig(epochs=100, batch_size=128),
    evaluation=EvaluationConfig(betas=_powers_of_two(-3, 9)),
)

_CIFAR10_REPORT = _form(
    _CIFAR10,
    ConditioningConfig(kind="sigmoid_film", sites=("block",), largest_map=None),
)

_CIFAR10_MULTI_RATE = _form(
    _CIFAR10,
    ConditioningConfig(kind="gate", sites=("conv", "dense"), largest_map=None),
)

_SHAPES3D = dataclasses.replace(
    _CIFAR10,
    data=DataConfig(
        name="shapes3d",
        train_examples=50_000,
        test_examples=10_000,
    ),
    model=dataclasses.replace(
        _CIFAR10.model,
        latent_size=20,
        convs_per_block=1,
    ),
    beta=BetaConfig(low=0.5, high=512.0),
    evaluation=EvaluationConfig(betas=_powers_of_two(-1, 9)),
)

_CIFAR10_PAPER = ExperimentConfig(
    data=DataConfig(
        name="cifar10",
        image_size=32,
        validation_examples=0,
        augmentation="crop_flip",
    ),
    model=ModelConfig(
        likelihood="gaussian",
        posterior="softplus",
        latent_size=256,
        # The released file has 16 channels; the paper's 1x is 8.
        base_channels=8,
        convs_per_block=2,
        dense_units=256,
        kernel_init="fan_avg",
        conditioning=ConditioningConfig(
            kind="film",
            sites=("block",),
            largest_map=None,
            hidden_units=256,
            strength=0.1,
            standardize=False,
        ),
    ),
    beta=BetaConfig(low=0.125, high=512.0, adaptive=0.0),
    objective=_PLAIN,
    optimizer=OptimizerConfig(
        learning_rate=1e-4,
        schedule="halving",
        halve_at=(600_000, 780_000, 960_000, 1_140_000),
        weight_decay=1e-5,
        epsilon=1e-8,
        clip_ratio=None,
    ),
    training=TrainingConfig(steps=1_200_000, batch_size=128),
    evaluation=EvaluationConfig(betas=_powers_of_two(-3, 9)),
)

_SHAPES3D_PAPER = ExperimentConfig(
    data=DataConfig(
        name="shapes3d",
        image_size=64,
        validation_examples=0,
        test_examples=10_000,
    ),
    model=ModelConfig(
        likelihood="bernoulli",
        posterior="softplus",
        latent_size=10,
        base_channels=8,
        convs_per_block=1,
        dense_units=256,
        kernel_init="fan_in",
        conditioning=ConditioningConfig(
            kind="film",
            sites=("block",),
            largest_map=None,
            hidden_units=256,
            strength=0.01,
            standardize=False,
        ),
    ),
    beta=BetaConfig(low=0.5, high=512.0, adaptive=0.0),
    objective=_PLAIN,
    optimizer=OptimizerConfig(
        learning_rate=2e-4,
        schedule="halving",
        halve_at=(300_000, 390_000, 480_000, 570_000),
        weight_decay=1e-5,
        epsilon=1e-8,
        clip_ratio=None,
    ),
    training=TrainingConfig(steps=700_000, batch_size=64),
    evaluation=EvaluationConfig(betas=_powers_of_two(-1, 12)),
)

_SMOKE = ExperimentConfig(
    data=DataConfig(
        name="rendered_shapes3d/tiny", image_size=32, validation_examples=64
    ),
    model=ModelConfig(
        latent_size=4, base_channels=4, convs_per_block=1, dense_units=32
    ),
    beta=BetaConfig(low=0.5, high=512.0),
    optimizer=OptimizerConfig(learning_rate=3e-3),
    training=TrainingConfig(epochs=2, batch_size=32),
    evaluation=EvaluationConfig(
        betas=(1.0, 16.0, 256.0), watched_betas=(1.0, 256.0)
    ),
)

_32 = (32, 32, 3)
_64 = (64, 64, 3)

PRESETS = {
    "rendered_shapes3d": Preset(
        summary="Rendered Shapes3D, the default: no download",
        source="Network, latents, likelihood, batch and range of beta: the "
        "paper's Shapes3D settings. Ours: the library's default method and "
        "conditioning, and a learning rate of 1e-2 that falls in the second "
        "half of the run; the paper's form takes 700,000 steps.",
        cost="20 epochs: 4 to 8 minutes; 1 GB of memory.",
        expect="Hues of floor, wall and object survive up to beta = 128; "
        "shapes can be told apart up to 32. Seed 0: full loss 3569 at beta 1 "
        "and 5877 at 256 nats per image, rate 29 and 4.4; after 100 epochs at "
        "1.5e-3 3545 and 5850, rate 28 and 4.7.",
        config=_RENDERED_SHAPES3D,
        example_shape=_64,
    ),
    "cifar10": Preset(
        summary="CIFAR-10, the seed report's experiment",
        source="Network, 256 latents, Bernoulli likelihood, batch, weight "
        "decay, range of beta and 100 epochs: the COMP6248 reproduction of "
        "YOTO, without its faults. Ours: the library's default method and "
        "conditioning, and a rate of 1.5e-3 that falls in the second half, "
        "with clipped gradients, in place of a constant 1e-4, with which the "
        "report's own form is still collapsed after 3 epochs.",
        cost="15 to 20 s an epoch: 25 to 35 minutes; 1 GB of memory.",
        expect="Recognisable colours and outlines at small beta, the mean "
        "image above beta = 100. Seed 0: full loss 1822 at beta 1, 1988 at 16 "
        "and 2117 at 256 nats per image, rate 41, 4.0 and 0.02; after 3 epochs "
        "at 5e-3 about 1850 and 1990 at 1 and 16.",
        config=_CIFAR10,
        example_shape=_32,
    ),
    "shapes3d": Preset(
        summary="Shapes3D, the seed report's experiment",
        source="As cifar10, with one convolution per block, 20 latents (the "
        "report's reading of the paper) and a subset of 50,000 images.",
        cost="Downloads 255 MB; 600 MB of memory for the images; about 40 s "
        "an epoch, estimated from rendered_shapes3d.",
        expect="Not run on the real Shapes3D; the same network on "
        "rendered_shapes3d keeps all hues at beta up to 64.",
        config=_SHAPES3D,
        example_shape=_64,
    ),
    "cifar10_paper": Preset(
        summary="CIFAR-10 with the authors' released settings, at 1x",
        source="cifar_conv_vae_yoto.gin of google-research/yoto at half its "
        "width (the paper's 1x). The optimizer's decay is multiplied by the "
        "learning rate here, as Keras does.",
        cost="1.2 million steps: about 12 hours at 3,500 images/s, estimated.",
        expect="Not run to its end here.",
        config=_CIFAR10_PAPER,
        example_shape=_32,
    ),
    "cifar10_report": Preset(
        summary="CIFAR-10 in the seed report's form",
        source="As cifar10, optimizer included, but with what the COMP6248 "
        "reproduction does where it differs from ours: FiLM through sigmoids "
        "after every block, even draws, no KL warm-up, one variance at the "
        "start.",
        cost="As cifar10.",
        expect="Seed 0, with a warm-up of 1,950 steps: full loss 1831 at beta "
        "1, 1987 at 16 and 2117 at 256 nats per image, rate 33, 4.3 and 0.01.",
        config=_CIFAR10_REPORT,
        example_shape=_32,
    ),
    "cifar10_multi_rate": Preset(
        summary="CIFAR-10 in the form of Multi-Rate VAE",
        source="As cifar10, optimizer included, but with the gates of Bae et "
        "al. (ICLR 2023) after every layer, even draws, no KL warm-up, one "
        "variance at the start.",
        cost="As cifar10.",
        expect="Seed 0, with a warm-up of 1,950 steps: full loss 1831 at beta "
        "1, 1987 at 16 and 2117 at 256 nats per image, rate 33, 4.2 and 0.005.",
        config=_CIFAR10_MULTI_RATE,
        example_shape=_32,
    ),
    "shapes3d_paper": Preset(
        summary="Shapes3D with the authors' released settings",
        source="shapes3d_conv_vae_yoto.gin of google-research/yoto; its 20 "
        "outputs are mean and scale of 10 latents.",
        cost="Downloads 255 MB; 5.9 GB of memory for the images; 700,000 "
        "steps: about 9 hours, estimated.",
        expect="Not run here.",
        config=_SHAPES3D_PAPER,
        example_shape=_64,
    ),
    "smoke": Preset(
        summary="Seconds: does everything run?",
        source="The smallest network that has all parts.",
        cost="About 10 s.",
        expect="Files in the run directory; the images are blurs.",
        config=_SMOKE,
        example_shape=_32,
    ),
}
