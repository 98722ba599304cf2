"""How beta is drawn and how the loss is weighted, as an experiment says it."""

from dataclasses import dataclass
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.objective_config import NormalizationConfig
from yoto_tf.strict_config import Config


@dataclass(frozen=True, kw_only=True)
class BetaConfig(Config):
    """The distribution of beta, the weight of the rate, during training.

    Example:
        yoto_tf.BetaConfig(low=0.5, high=64.0)
    """

    distribution: Literal["log_uniform", "uniform", "choice", "constant"] = (
        "log_uniform"
    )
    low: float = 0.125
    """Lowest beta of (log-)uniform. Of constant: of the range over which a
    `model.initial_variance` lays the posterior's start, as in a model of all
    its betas."""
    high: float = 512.0
    """Highest beta of (log-)uniform, or of constant's range."""
    adaptive: float = 0.8
    """Of log_uniform and uniform: the share of the draws, from 0 to below 1,
    that follow the rate: parts of the range in which the model has a higher
    rate by then are drawn more often (`AdaptiveDraws`); 0: none (the
    paper)."""
    values: tuple[float, ...] = ()
    """The betas of `choice`, or the one of `constant` (fixed weight)."""

    def _check(self):
        if self.distribution == "choice":
            self._only_default("low", "high")
            if self.adaptive:
                self._only_default("adaptive")
        elif not 0 < self.low < self.high:
            raise InputError(
                "expected 0 < low < high, received: "
                f"low={self.low}, high={self.high}"
            )
        if self.distribution in ("log_uniform", "uniform"):
            self._only_default("values")
        elif not self.values or not all(v > 0 for v in self.values):
            raise InputError(
                "expected values above 0 for "
                f"distribution={self.distribution!r}, "
                f"received: values={self.values}"
            )
        if self.distribution == "constant" and len(self.values) != 1:
            raise InputError(
                "expected one value for distribution='constant', "
                f"received: values={self.values}"
            )
        if not 0 <= self.adaptive < 1:
            raise InputError(
                "expected adaptive from 0 to below 1, received: "
                f"adaptive={self.adaptive}"
            )

    @property
    def following(self):
        """The share of the draws that follow; of a choice or a constant none
        can."""
        can = self.distribution in ("log_uniform", "uniform")
        return self.adaptive if can else 0.0

    def _only_default(self, *names):
        self._without_effect(names, self._of("distribution"))


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(NormalizationConfig):
    """How the terms of the loss become one number.

    Example:
        yoto_tf.ObjectiveConfig(
            normalization="geometric_mean", normalization_power=0.5
        )
    """

    warm_up: float = 0.1
    """The share of the run in which the rate's weight rises from 0 to beta (KL
    warm-up), without which latents collapse at large beta; 0: none."""
    group_size: int | None = 1
    """So many neighbours in a batch share one beta, for loss terms of several
    images; unset: the whole batch, for ablations."""

    def _check(self):
        super()._check()
        self._positive("group_size")
        if not 0 <= self.warm_up <= 1:
            raise InputError(
                "expected warm_up from 0 to 1, received: "
                f"warm_up={self.warm_up}"
            )
