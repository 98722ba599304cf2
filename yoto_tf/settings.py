"""Settings that every family has: how a model is trained.

Frozen dataclasses, validated at birth; see `yoto_tf.strict_config`. This
module imports no TensorFlow, so that a command line answers at once.
"""

import math
from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Config):
    """Adam and its learning rate."""

    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "halving", "wsd"] = "cosine"
    """`cosine`: to 0 at the last step; `wsd` (warm-up, stable, decay):
    constant, then linear to 0 at the last step; `halving`: halved at
    `halve_at`."""
    warmup_steps: int = 0
    """Linear rise to the learning rate (cosine and wsd)."""
    decay_share: float = 0.5
    """The last part of all steps, in which `wsd` falls."""
    halve_at: tuple[int, ...] = ()
    """Steps of `halving`."""
    weight_decay: float = 0.0
    """Decoupled, per step and unit of learning rate (as Keras has it)."""
    beta_2: float = 0.999
    """Decay of Adam's mean of squared gradients."""
    epsilon: float = 1e-8
    """Adam's."""
    clip_norm: float | None = None
    """Clip the gradients' global norm; unset: do not."""
    clip_ratio: float | None = 5.0
    """Clip a step's gradients, so that none has more than so many times its
    variable's root mean square norm up to now; needs no tuning to a loss.
    Unset: do not."""

    def _check(self):
        self._positive("learning_rate", "epsilon", "clip_norm")
        self._not_negative("weight_decay", "warmup_steps")
        if self.clip_ratio is not None and not self.clip_ratio > 1:
            raise InputError(
                "expected clip_ratio above 1 or unset, received: "
                f"clip_ratio={self.clip_ratio}"
            )
        if not 0 < self.beta_2 < 1:
            raise InputError(
                "expected beta_2 above 0 and below 1, received: "
                f"beta_2={self.beta_2}"
            )
        if not 0 < self.decay_share <= 1:
            raise InputError(
                "expected decay_share above 0 and at most 1, received: "
                f"decay_share={self.decay_share}"
            )
        if self.schedule != "wsd":
            self._without_effect(("decay_share",), self._of("schedule"))
        if self.schedule != "halving":
            self._without_effect(("halve_at",), self._of("schedule"))
        if self.warmup_steps and self.schedule not in ("cosine", "wsd"):
            raise InputError(
                "expected schedule='cosine' or 'wsd' with warmup_steps above "
                f"0, received: schedule={self.schedule!r}"
            )
        if self.schedule == "halving" and (
            not self.halve_at or list(self.halve_at) != sorted(self.halve_at)
        ):
            raise InputError(
                "expected rising steps for schedule='halving', "
                f"received: halve_at={self.halve_at}"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """How long, in which portions, from which seed."""

    epochs: int | None = None
    """Unset: as many as `steps` take, or 20."""
    steps: int | None = None
    """Train for the fewest whole epochs that reach so many steps; `epochs`
    is unset then."""
    batch_size: int = 128
    seed: int = 0
    """Of the initial weights, the order of images, the loss parameters,
    the noise."""
    dtype: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """What layers compute in; weights, terms and the loss stay float32. For
    GPUs, and processors with bfloat16 of their own; on others it is
    slower."""
    jit_compile: bool = False
    """Compile the step with XLA. Slower on CPU as measured by
    `training.benchmark`; worth a try on a GPU."""
    pictures_every: int = 1
    """Write TensorBoard pictures every so many epochs; 0: never."""

    def _check(self):
        self._positive("epochs", "steps", "batch_size")
        if self.steps is not None:
            self._without_effect(("epochs",), self._of("steps"))
        self._seeds("seed")
        self._not_negative("pictures_every")

    def num_epochs(self, steps_per_epoch):
        """Whole epochs of a run that has so many steps in each."""
        if self.steps is not None:
            return math.ceil(self.steps / steps_per_epoch)
        return 20 if self.epochs is None else self.epochs


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Base of what decides the outcome of a run.

    A family adds `data`, `model`, `evaluation` and what else it has.
    """

    family: str = ""
    """Whose model it is: one of ours, or your own as module:name."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
