"""yoto_tf: train once, choose the loss weight per request."""

import wrapt

from yoto_tf.config import BetaConfig
from yoto_tf.config import ConditioningConfig
from yoto_tf.config import ExperimentConfig
from yoto_tf.config import ModelConfig
from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.presets import PRESETS
from yoto_tf.presets import get_preset

# These import TensorFlow. They are loaded when they are first used, so that
# a command line can parse its arguments, and refuse them, at once.
_LAZY = {
    "ConditionalVAE": "yoto_tf.models.conv_vae",
    "LossConditionalModel": "yoto_tf.models.loss_conditional",
    "Choice": "yoto_tf.loss_weights",
    "Constant": "yoto_tf.loss_weights",
    "LogUniform": "yoto_tf.interval_weights",
    "LossWeight": "yoto_tf.loss_weights",
    "Uniform": "yoto_tf.interval_weights",
    "Dirichlet": "yoto_tf.joint_weights",
    "Independent": "yoto_tf.joint_weights",
    "StopOnDivergence": "yoto_tf.callbacks",
    "load_model": "yoto_tf.models",
}

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "BetaConfig",
    "ConditioningConfig",
    "ExperimentConfig",
    "InputError",
    "ModelConfig",
    "TrainingDiverged",
    "get_preset",
    *sorted(_LAZY),
]


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'yoto_tf' has no attribute {name!r}")
    import importlib

    # Refuses another backend, before these import Keras.
    importlib.import_module("yoto_tf.keras_backend")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__():
    return sorted({*globals(), *__all__})


@wrapt.when_imported("keras")
def _register(keras):
    """Registers our classes, so that `keras.models.load_model` finds them."""
    if keras.backend.backend() == "tensorflow":
        import yoto_tf.models  # noqa: F401
