"""yoto_tf: train once, choose the loss weight per request."""

import wrapt

from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.families import get_preset
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.loss_config import BetaConfig
from yoto_tf.families.vae.loss_config import ObjectiveConfig
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.families.vae.presets import PRESETS
from yoto_tf.families.vae.registry import register_likelihood
from yoto_tf.registry import register_conditioning

# These import TensorFlow. They are loaded when they are first used, so that
# a command line can parse its arguments, and refuse them, at once.
_LAZY = {
    "ConditionalVAE": "yoto_tf.families.vae.model.conv_vae",
    "ConditionedModel": "yoto_tf.method.condition",
    "condition": "yoto_tf.method.condition",
    "LossConditionalModel": "yoto_tf.method.model",
    "ConditioningLayer": "yoto_tf.layers.base",
    "Likelihood": "yoto_tf.families.vae.model.likelihoods",
    "Choice": "yoto_tf.method.parameters",
    "Constant": "yoto_tf.method.parameters",
    "LogUniform": "yoto_tf.method.parameters",
    "LossParameter": "yoto_tf.method.base",
    "Uniform": "yoto_tf.method.parameters",
    "Mixture": "yoto_tf.method.mixture",
    "near": "yoto_tf.method.mixture",
    "Dirichlet": "yoto_tf.method.dirichlet",
    "Independent": "yoto_tf.method.joint",
    "Schedule": "yoto_tf.method.schedule",
    "StopOnDivergence": "yoto_tf.callbacks",
    "load_model": "yoto_tf.models",
    "total_correlation": "yoto_tf.families.vae.model.posterior",
}

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "BetaConfig",
    "ConditioningConfig",
    "ExperimentConfig",
    "InputError",
    "ModelConfig",
    "ObjectiveConfig",
    "TrainingDiverged",
    "get_preset",
    "layers",
    "register_conditioning",
    "register_likelihood",
    *sorted(_LAZY),
]


def __getattr__(name):
    if name not in (*_LAZY, "layers"):
        raise AttributeError(f"module 'yoto_tf' has no attribute {name!r}")
    import importlib

    # Refuses another backend, before these import Keras.
    importlib.import_module("yoto_tf.keras_backend")
    if name == "layers":
        return importlib.import_module("yoto_tf.layers")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__():
    return sorted({*globals(), *__all__})


@wrapt.when_imported("keras")
def _register(keras):
    """Registers our classes, so that `keras.models.load_model` finds them."""
    if keras.backend.backend() == "tensorflow":
        import yoto_tf.models  # noqa: F401
