"""Every class registered with Keras under `yoto_tf` has a case here, and all
cases pass the same checks."""

import importlib
import inspect
import pkgutil

import keras
import layer_checks
import pytest
from layer_checks import LayerCase

import yoto_tf
from yoto_tf.families.compression.config import CompressionModelConfig
from yoto_tf.families.compression.model.entropy import FactorizedPrior
from yoto_tf.families.compression.model.hyper_decoder import HyperDecoder
from yoto_tf.families.compression.model.hyperprior import CompressionModel
from yoto_tf.families.compression.model.networks import GDN
from yoto_tf.families.compression.model.networks import Gains
from yoto_tf.families.fields import Field
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.families.tabular.model import CostSensitiveClassifier
from yoto_tf.families.tabular.model import QuantileRegressor
from yoto_tf.families.vae.model.conv_nets import ConvDecoder
from yoto_tf.families.vae.model.conv_nets import ConvEncoder
from yoto_tf.families.vae.model.conv_vae import ConditionalVAE
from yoto_tf.families.vae.model.posterior import GaussianPosterior
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.layers import Concatenation
from yoto_tf.layers import FiLM
from yoto_tf.layers import Gate
from yoto_tf.layers import SigmoidFiLM
from yoto_tf.layers import SplineFiLM
from yoto_tf.layers.stage import ConditionedStage
from yoto_tf.method.condition import ConditionedModel
from yoto_tf.method.dirichlet import Dirichlet
from yoto_tf.method.joint import Independent
from yoto_tf.method.mixture import Mixture
from yoto_tf.method.mixture import near
from yoto_tf.method.model import LossConditionalModel
from yoto_tf.method.parameters import Choice
from yoto_tf.method.parameters import Constant
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform
from yoto_tf.optimizers import FusedAdam
from yoto_tf.optimizers import WarmupStableDecay

SMALL_NET = ModelConfig(
    latent_size=3,
    base_channels=2,
    convs_per_block=1,
    dense_units=8,
    conditioning=ConditioningConfig(
        kind="film",
        sites=("conv", "dense"),
        largest_map=None,
        hidden_units=4,
    ),
)

# (id, class, case): a class may have several.
LAYERS = [
    ("FiLM-dense", FiLM, LayerCase(lambda: FiLM(6), ((4, 5), (4, 2)), 8)),
    (
        "FiLM-maps",
        FiLM,
        LayerCase(lambda: FiLM(6, strength=1.0), ((4, 3, 3, 5), (4, 2)), 8),
    ),
    (
        "SigmoidFiLM-dense",
        SigmoidFiLM,
        LayerCase(lambda: SigmoidFiLM(6), ((4, 5), (4, 2)), 4),
    ),
    (
        "SigmoidFiLM-maps",
        SigmoidFiLM,
        LayerCase(lambda: SigmoidFiLM(6), ((4, 3, 3, 5), (4, 2)), 4),
    ),
    ("Gate-sigmoid", Gate, LayerCase(Gate, ((4, 3, 3, 5), (4, 2)), 2)),
    (
        "Gate-sqrt",
        Gate,
        LayerCase(lambda: Gate("sqrt"), ((4, 5), (4, 2)), 2),
    ),
    (
        "SplineFiLM-dense",
        SplineFiLM,
        LayerCase(lambda: SplineFiLM(3), ((4, 6), (4, 2)), 1),
    ),
    (
        "SplineFiLM-maps",
        SplineFiLM,
        LayerCase(SplineFiLM, ((4, 3, 3, 5), (4, 2)), 1),
    ),
    (
        "Concatenation-dense",
        Concatenation,
        LayerCase(Concatenation, ((4, 5), (4, 2)), 0),
    ),
    (
        "Concatenation-maps",
        Concatenation,
        LayerCase(Concatenation, ((4, 3, 3, 5), (4, 2)), 0),
    ),
    (
        "GaussianPosterior",
        GaussianPosterior,
        LayerCase(lambda: GaussianPosterior(seed=1), ((4, 6), (4,), (4, 3)), 0),
    ),
    (
        "GaussianPosterior-variance_preserving",
        GaussianPosterior,
        LayerCase(
            lambda: GaussianPosterior(
                "variance_preserving", (1.0, 2.0), seed=1
            ),
            ((4, 6), (4,), (4, 3)),
            0,
        ),
    ),
    (
        "ConditionedStage-conv",
        ConditionedStage,
        LayerCase(
            lambda: ConditionedStage(
                keras.layers.Conv2D(5, 3, padding="same"), Gate(), 0.3
            ),
            ((4, 3, 3, 2), (4, 2)),
            4,
        ),
    ),
    (
        "ConditionedStage-bare",
        ConditionedStage,
        LayerCase(
            lambda: ConditionedStage(keras.layers.Dense(5)),
            ((4, 3), (4, 2)),
            2,
        ),
    ),
    (
        "ConditionedStage-concatenation",
        ConditionedStage,
        LayerCase(
            lambda: ConditionedStage(
                keras.layers.Dense(5), Concatenation(), 0.2
            ),
            ((4, 3), (4, 2)),
            2,
        ),
    ),
    (
        # Three convs and two dense layers of 2 weights; FiLM, of 8, on all
        # but the posterior.
        "ConvEncoder",
        ConvEncoder,
        LayerCase(
            lambda: ConvEncoder((32, 32, 3), SMALL_NET),
            ((4, 32, 32, 3), (4, 1)),
            5 * 2 + 4 * 8,
        ),
    ),
    (
        # Two dense layers, three convs and the output; FiLM on all but that.
        "ConvDecoder",
        ConvDecoder,
        LayerCase(
            lambda: ConvDecoder((32, 32, 3), SMALL_NET, 2),
            ((4, 3), (4, 1)),
            6 * 2 + 5 * 8,
        ),
    ),
    ("GDN", GDN, LayerCase(GDN, ((4, 3, 3, 5),), 2)),
    ("GDN-inverse", GDN, LayerCase(lambda: GDN(True), ((4, 3, 3, 5),), 2)),
    (
        "Gains",
        Gains,
        LayerCase(lambda: Gains(SplineFiLM(3), 5), ((4,), (4, 1)), 1),
    ),
    (
        "FactorizedPrior",
        FactorizedPrior,
        LayerCase(FactorizedPrior, ((4, 2, 3, 5),), 3),
    ),
    (
        # Three convolutions of two weights, a spline on each.
        "HyperDecoder",
        HyperDecoder,
        LayerCase(
            lambda: HyperDecoder(
                CompressionModelConfig(channels=3, latents=2), True
            ),
            ((4, 2, 3, 3), (4, 1)),
            3 * 3,
        ),
    ),
]

# Everything else that Keras can serialize.
OBJECTS = [
    (Choice, lambda: Choice([1.0, 4.0], default=4.0, description="Said.")),
    (Constant, lambda: Constant(3.0, description="Said.")),
    (
        LogUniform,
        lambda: LogUniform(
            0.5, 8.0, standardize=False, default=2.0, description="Said."
        ),
    ),
    (
        Uniform,
        lambda: Uniform(
            0.5, 8.0, standardize=False, default=2.0, description="Said."
        ),
    ),
    (
        Mixture,
        lambda: Mixture(
            LogUniform(0.5, 8.0),
            [(((0, 0.1), (9, 0.2)), near(LogUniform(0.5, 8.0), 2.0, 1.0))],
            default=4.0,
            description="Said.",
        ),
    ),
    (Independent, lambda: Independent({"a": 1.0, "b": LogUniform(0.5, 8.0)})),
    (Dirichlet, lambda: Dirichlet({"a": 0.5, "b": 2.0})),
    (
        FusedAdam,
        lambda: FusedAdam(0.25, 0.8, clip_ratio=4.0, weight_decay=0.5),
    ),
    (WarmupStableDecay, lambda: WarmupStableDecay(0.25, 100, 10, 40)),
    (
        LossConditionalModel,
        lambda: LossConditionalModel(
            {"a": 1.0, "b": LogUniform(0.5, 8.0)},
            group_size=None,
            normalization="sum",
            normalization_power=0.5,
            warm_up={"b": 0.25},
            watched=[{"a": 1.0, "b": 2.0}],
            seed=3,
            name="mine",
        ),
    ),
    (
        ConditionedModel,
        lambda: ConditionedModel(
            keras.Sequential(
                [keras.Input((3,)), keras.layers.Dense(2, name="dense")]
            ),
            {"mse": "mse", "mae": keras.losses.MeanAbsoluteError()},
            {"mae": LogUniform(0.5, 8.0)},
            sites=["dense"],
            conditioning=FiLM(4),
            normalization="sum",
            seed=3,
            name="mine",
        ),
    ),
    (
        CostSensitiveClassifier,
        lambda: CostSensitiveClassifier(
            TableModelConfig(depth=1, clip_at=None),
            mean=[1.0, 2.0],
            variance=[3.0, 4.0],
            fields=[Field("a", low=0.0, high=2.0), Field("b", ("no", "yes"))],
            target="alarm",
            loss_parameters={"miss": LogUniform(1.0, 8.0)},
            normalization="sum",
            seed=3,
            name="mine",
        ),
    ),
    (
        QuantileRegressor,
        lambda: QuantileRegressor(
            TableModelConfig(hidden_units=3),
            mean=[1.0],
            variance=[3.0],
            target_mean=2.0,
            target_deviation=5.0,
            loss_parameters={"level": Uniform(0.1, 0.9)},
        ),
    ),
    (
        CompressionModel,
        lambda: CompressionModel(
            CompressionModelConfig(channels=2, latents=3),
            {"lmbda": LogUniform(0.01, 0.1)},
            normalization="geometric_mean",
            normalization_power=0.5,
            seed=3,
            name="mine",
        ),
    ),
    (
        ConditionalVAE,
        lambda: ConditionalVAE(
            (32, 32, 1),
            SMALL_NET,
            yoto_tf.BetaConfig(low=0.5, high=8.0),
            yoto_tf.ObjectiveConfig(group_size=None),
            watched_betas=(1.0, 2.0),
            loss_parameters={"c": Uniform(0.0, 1.0)},
            seed=3,
            name="mine",
        ),
    ),
]


def registered_classes():
    """The classes registered under `yoto_tf`, after importing all of it."""
    for module in pkgutil.walk_packages(yoto_tf.__path__, "yoto_tf."):
        importlib.import_module(module.name)
    return {
        thing
        for name, thing in keras.saving.get_custom_objects().items()
        if name.startswith("yoto_tf>")
    }


def test_every_registered_class_has_a_case():
    covered = {c for _, c, _ in LAYERS} | {c for c, _ in OBJECTS}
    assert {c.__name__ for c in registered_classes() - covered} == set()
    assert {c.__name__ for c in covered - registered_classes()} == set()


def test_every_layer_and_model_of_the_package_is_registered():
    schedule = keras.optimizers.schedules.LearningRateSchedule
    bases = keras.Layer | keras.Optimizer | schedule
    written = set()
    for module in pkgutil.walk_packages(yoto_tf.__path__, "yoto_tf."):
        for name, thing in vars(importlib.import_module(module.name)).items():
            if (
                inspect.isclass(thing)
                and issubclass(thing, bases)
                and thing.__module__ == module.name
                and not name.startswith("_")
            ):
                written.add(thing)
    # The base classes without a `call` of their own, and a state of models.
    assert {c.__name__ for c in written - registered_classes()} == {
        "AdaptiveDraws",
        "ConditioningLayer",
        "DataModel",
        "KerasModel",
        "Replicated",
        "Saved",
        "Steps",
        "TableModel",
    }


@pytest.mark.parametrize("check", layer_checks.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, _, case in LAYERS]
)
def test_layer(case, check, tmp_path):
    if check is layer_checks.saved_model_answers_the_same:
        check(case, tmp_path / "model.keras")
    else:
        check(case)


@pytest.mark.parametrize(
    "make", [pytest.param(make, id=c.__name__) for c, make in OBJECTS]
)
def test_object_survives_json(make):
    thing = make()
    copy = layer_checks.through_json(thing)
    assert type(copy) is type(thing)
    assert copy.get_config() == thing.get_config()


@pytest.mark.parametrize(
    ("owner", "make"),
    [pytest.param(c, make, id=c.__name__) for c, make in OBJECTS]
    + [pytest.param(c, case.make, id=name) for name, c, case in LAYERS],
)
def test_config_has_every_constructor_argument(owner, make):
    named = {
        name
        for name, p in inspect.signature(owner.__init__).parameters.items()
        if p.kind is p.POSITIONAL_OR_KEYWORD and name != "self"
    }
    assert named <= set(make().get_config())
