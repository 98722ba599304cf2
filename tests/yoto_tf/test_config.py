"""Configuration: JSON and back, and what is refused."""

import dataclasses
import json
import math

import pytest

from yoto_tf.errors import InputError
from yoto_tf.families.vae.config import EvaluationConfig
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.loss_config import BetaConfig
from yoto_tf.families.vae.loss_config import ObjectiveConfig
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.families.vae.presets import PRESETS
from yoto_tf.image_config import DataConfig
from yoto_tf.settings import OptimizerConfig
from yoto_tf.settings import TrainingConfig


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = PRESETS[name].config
    text = json.dumps(config.to_dict())
    assert ExperimentConfig.from_dict(json.loads(text)) == config


def test_defaults_survive_json():
    text = json.dumps(ExperimentConfig().to_dict())
    assert ExperimentConfig.from_dict(json.loads(text)) == ExperimentConfig()


def test_a_partial_mapping_keeps_the_other_defaults():
    config = ExperimentConfig.from_dict({"model": {"width": 2}})
    assert config.model == ModelConfig(width=2)
    assert config.beta == BetaConfig()


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().width = 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, "ExperimentConfig.*'model'.*received: 'modle'"),
        (
            {"model": {"conditioning": {"kinds": "film"}}},
            "ConditioningConfig.*'kind'.*received: 'kinds'",
        ),
        ({"model": 3}, "expected a mapping for ModelConfig, received: 3"),
        ({"model": {"width": "2"}}, "width to be a whole number.*'2'"),
        ({"model": {"width": 1.5}}, "width to be a whole number.*1.5"),
        ({"beta": {"low": None}}, "low to be a number.*None"),
        ({"beta": {"values": 3.0}}, "values to be a list, each a number.*3.0"),
        (
            {"model": {"likelihood": "laplace"}},
            "one of 'bernoulli', 'gaussian'.*'laplace'",
        ),
        (
            {"data": {"image_size": 48}},
            "image_size to be one of 32, 64, 128 or None.*48",
        ),
        (
            {"model": {"conditioning": {"sites": ["blok"]}}},
            "each one of 'block', 'conv', 'dense', 'posterior', 'latent', "
            "'output'",
        ),
    ],
)
def test_unknown_keys_and_wrong_types_are_refused_with_the_valid(
    values, message
):
    with pytest.raises(InputError, match=message):
        ExperimentConfig.from_dict(values)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("config_class", "field"),
    [
        (BetaConfig, "low"),
        (BetaConfig, "high"),
        (OptimizerConfig, "learning_rate"),
        (ConditioningConfig, "strength"),
    ],
)
def test_numbers_that_are_not_finite_are_refused(config_class, field, number):
    with pytest.raises(InputError, match=f"{field} without NaN and infinity"):
        config_class(**{field: number})
    with pytest.raises(InputError, match="betas without NaN and infinity"):
        EvaluationConfig(betas=(1.0, number))


@pytest.mark.parametrize(
    ("config_class", "values", "message"),
    [
        (DataConfig, {"name": ""}, "name to be a TFDS data set or a folder"),
        (DataConfig, {"train_examples": 0}, "train_examples to be above 0"),
        (DataConfig, {"test_examples": -1}, "test_examples of 2 or more"),
        (DataConfig, {"validation_examples": -1}, "to be 0 or more"),
        (ConditioningConfig, {"sites": ()}, "different sites among"),
        (ConditioningConfig, {"sites": ("block", "block")}, "different sites"),
        (ConditioningConfig, {"strength": 0.0}, "strength to be above 0"),
        (ConditioningConfig, {"knots": 1}, "knots of 2 or more"),
        (
            ConditioningConfig,
            {"kind": "spline", "standardize": False},
            "standardize=True for kind='spline'",
        ),
        (
            ConditioningConfig,
            {"kind": "concatenation", "sites": ("output",)},
            "sites other than 'output'",
        ),
        (
            ConditioningConfig,
            {"kind": "concatenation", "sites": ("posterior",)},
            "sites other than 'posterior'",
        ),
        (ModelConfig, {"width": 0}, "width to be above 0"),
        (ModelConfig, {"latent_size": 0}, "latent_size to be above 0"),
        (ModelConfig, {"initial_variance": 1.0}, "above 0 and below 1"),
        (
            ModelConfig,
            {"initial_variance": 0.9, "posterior": "softplus"},
            "initial_variance unset for posterior='softplus'",
        ),
        (ModelConfig, {"convs_per_block": 0}, "convs_per_block to be above 0"),
        (BetaConfig, {"low": 0.0}, "expected 0 < low < high"),
        (BetaConfig, {"low": 2.0, "high": 1.0}, "expected 0 < low < high"),
        (
            BetaConfig,
            {"distribution": "constant", "values": (1.0,), "low": 0.0},
            "expected 0 < low < high",
        ),
        (BetaConfig, {"distribution": "choice"}, "expected values above 0"),
        (
            BetaConfig,
            {"distribution": "constant", "values": (0.0,)},
            "expected values above 0",
        ),
        (
            BetaConfig,
            {"distribution": "constant", "values": (1.0, 2.0)},
            "expected one value",
        ),
        (
            ObjectiveConfig,
            {"normalization": "sum", "normalization_power": 2.5},
            "normalization_power above 0 and at most 2",
        ),
        (BetaConfig, {"adaptive": 1.0}, "adaptive from 0 to below 1"),
        (
            BetaConfig,
            {"distribution": "choice", "values": (1.0,), "adaptive": 0.5},
            "adaptive left at 0.8 with distribution='choice'",
        ),
        (ObjectiveConfig, {"warm_up": -0.1}, "warm_up from 0 to 1"),
        (ObjectiveConfig, {"warm_up": 1.1}, "warm_up from 0 to 1"),
        (ObjectiveConfig, {"group_size": 0}, "group_size to be above 0"),
        (
            ObjectiveConfig,
            {"normalization": "none", "normalization_power": 0.5},
            "normalization_power unset with normalization='none'",
        ),
        (OptimizerConfig, {"beta_2": 1.0}, "beta_2 above 0 and below 1"),
        (OptimizerConfig, {"learning_rate": 0.0}, "learning_rate"),
        (OptimizerConfig, {"weight_decay": -1.0}, "weight_decay"),
        (OptimizerConfig, {"clip_ratio": 1.0}, "clip_ratio above 1 or unset"),
        (
            OptimizerConfig,
            {"schedule": "constant", "warmup_steps": 5},
            "schedule='cosine' or 'wsd' with warmup_steps",
        ),
        (OptimizerConfig, {"decay_share": 0.0}, "decay_share above 0"),
        (OptimizerConfig, {"decay_share": 1.1}, "decay_share above 0"),
        (OptimizerConfig, {"schedule": "halving"}, "rising steps"),
        (
            OptimizerConfig,
            {"schedule": "halving", "halve_at": (5, 3)},
            "rising steps",
        ),
        (TrainingConfig, {"epochs": 0}, "epochs to be above 0"),
        (TrainingConfig, {"steps": 0}, "steps to be above 0"),
        (
            ConditioningConfig,
            {"kind": "gate", "strength": 0.3},
            "strength left at 0.1 with kind='gate', where it has no effect",
        ),
        (
            ConditioningConfig,
            {"hidden_units": 64},
            "hidden_units left at 256 with kind='spline'",
        ),
        (
            ConditioningConfig,
            {"kind": "my_own.layers:Mine", "knots": 7},
            "knots left at 5 with kind='my_own.layers:Mine'",
        ),
        (
            ConditioningConfig,
            {"sites": ("dense",), "largest_map": 16},
            r"largest_map left at 8 with sites=\('dense',\)",
        ),
        (
            OptimizerConfig,
            {"decay_share": 0.2},
            "decay_share left at 0.5 with schedule='cosine'",
        ),
        (
            OptimizerConfig,
            {"halve_at": (5,)},
            "halve_at unset with schedule='cosine'",
        ),
        (
            TrainingConfig,
            {"epochs": 3, "steps": 100},
            "epochs unset with steps=100, where it has no effect",
        ),
        (TrainingConfig, {"seed": -1}, "seed as a whole number"),
        (EvaluationConfig, {"betas": ()}, "betas above 0"),
        (EvaluationConfig, {"watched_betas": (0.0,)}, "watched_betas above 0"),
    ],
)
def test_values_that_make_no_experiment_are_refused(
    config_class, values, message
):
    with pytest.raises(InputError, match=message):
        config_class(**values)
