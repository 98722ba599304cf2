"""What an experiment is made of: frozen dataclasses, validated at birth.

The same classes are the command line of `training.train` (through tyro), the
content of a run's `config.json` and the arguments of the models. This module
imports no TensorFlow, so that a command line answers at once.
"""

from dataclasses import dataclass
from dataclasses import field

from yoto_tf.errors import InputError
from yoto_tf.families.vae.loss_config import BetaConfig
from yoto_tf.families.vae.loss_config import ObjectiveConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.image_config import DataConfig
from yoto_tf.parameter_config import ParameterConfig
from yoto_tf.settings import Settings
from yoto_tf.strict_config import Config


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Config):
    """The fixed grid on which a run is scored."""

    betas: tuple[float, ...] = tuple(2.0**k for k in range(-3, 10))
    """Betas of `curve.csv`."""
    watched_betas: tuple[float, ...] = (1.0, 16.0, 256.0)
    """Betas at which the validation images are scored after each epoch: those
    that the run is trained for, or else three over its range."""

    def _check(self):
        for name in ("betas", "watched_betas"):
            values = getattr(self, name)
            if not values or not all(v > 0 for v in values):
                raise InputError(
                    f"expected {name} above 0, received: {name}={values}"
                )


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(Settings):
    """One training run: everything that decides its outcome.

    Example:
        config = yoto_tf.ExperimentConfig()
        yoto_tf.ExperimentConfig.from_dict(config.to_dict()) == config
    """

    family: str = "vae"
    """Whose model it is: one of ours, or your own as module:name."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    beta: BetaConfig = field(default_factory=BetaConfig)
    further: tuple[ParameterConfig, ...] = ()
    """Further loss parameters, of a model that has terms for them."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
