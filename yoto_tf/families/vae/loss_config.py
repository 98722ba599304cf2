"""How beta is drawn and how the loss is weighted, as an experiment says it."""

from dataclasses import dataclass
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config

# A number, or (step, value) pairs between which it is linear.
Points = float | tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class PartConfig(Config):
    """A part of beta's range that is drawn more often.

    Example:
        part = yoto_tf.PartConfig(center=4.0, octaves=2, share=0.3)
        yoto_tf.BetaConfig(parts=(part,))
    """

    center: float = 1.0
    """The beta around which it lies, in the middle of log(beta)."""
    octaves: float = 1.0
    """Its width in factors of 2: 1 is from center / sqrt(2) to center *
    sqrt(2). It is cut off at the ends of the range."""
    share: Points = 0.5
    """So many of all draws are log-uniform in it: a number, or (step, share)
    pairs, linear between the steps."""

    def _check(self):
        self._positive("center", "octaves")
        self._points("share", 0.0, 1.0)


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
    """Lowest beta of (log-)uniform. Of constant: of the range over which the
    posterior's start is laid, as in a model of all its betas."""
    high: float = 512.0
    """Highest beta of (log-)uniform, or of constant's range."""
    parts: tuple[PartConfig, ...] = ()
    """Of log_uniform: parts of the range that are drawn more often, because
    they need more training or are asked for more, or, by shares that change
    with the step, first (a curriculum). A constant draws none of them."""
    adaptive: float = 0.0
    """Of log_uniform and uniform: the share of the draws, from 0 to below 1,
    that follow the rate: a part of the range is drawn in proportion to the
    rate that the model has there by then."""
    values: tuple[float, ...] = ()
    """The betas of `choice`, or the one of `constant` (fixed weight)."""

    def _check(self):
        if self.distribution == "choice":
            self._only_default("low", "high")
        elif not 0 < self.low < self.high:
            raise InputError(
                "expected 0 < low < high, received: "
                f"low={self.low}, high={self.high}"
            )
        if self.distribution in ("uniform", "choice") and any(
            part.share != 0 for part in self.parts
        ):
            raise InputError(
                "expected parts with a share of 0 for "
                f"distribution={self.distribution!r}, "
                f"received: parts={self.parts}"
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
        follows = self.distribution in ("log_uniform", "uniform")
        if self.adaptive and (self.parts or not follows):
            raise InputError(
                "expected adaptive=0 beside parts, and for a choice or a "
                f"constant, received: adaptive={self.adaptive}, "
                f"{self._of('distribution')}"
            )
        for part in self.parts:
            if not self.low <= part.center <= self.high:
                raise InputError(
                    f"expected parts with a center between low={self.low} "
                    f"and high={self.high}, received: center={part.center}"
                )

    def _only_default(self, *names):
        self._without_effect(names, self._of("distribution"))


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(Config):
    """How the terms of the loss become one number.

    Example:
        yoto_tf.ObjectiveConfig(
            normalization="geometric_mean", normalization_power=0.5
        )
    """

    normalization: Literal["none", "geometric_mean", "sum"] = "sum"
    """Divide the loss by the weights' sum (1 + beta) or their geometric mean
    (authors' option; sqrt(beta)): large betas would drown small ones."""
    normalization_power: float | None = None
    """Divide by the above to this power, 0 to 1 (the authors: 1); unset:
    0.45."""
    rate_ramp: Points = 1.0
    """Multiplies the rate's weight in training: a number, or (step, factor)
    pairs. From 0 to 1 it is KL warm-up, without which fixed weights collapse
    at large beta."""
    free_bits: Points = 0.0
    """A latent whose part of the loss, beta times its rate, is smaller than
    so many nats has no rate to pay, so that a beginning at large betas does
    not cost the latents that only small ones need (free bits: Kingma et al.,
    NeurIPS 2016, appendix C.8); a number, or (step, nats) pairs."""
    group_size: int | None = 1
    """So many neighbours in a batch share one beta, for loss terms of several
    images; unset: the whole batch, for ablations."""

    def _check(self):
        self._positive("group_size")
        self._points("rate_ramp", 0.0)
        self._points("free_bits", 0.0)
        if self.normalization == "none":
            self._without_effect(
                ("normalization_power",), self._of("normalization")
            )
        elif self.normalization_power is not None and not (
            0 < self.normalization_power <= 1
        ):
            raise InputError(
                "expected normalization_power above 0 and at most 1, "
                f"received: normalization_power={self.normalization_power}"
            )

    @property
    def power(self):
        """`normalization_power`, or its default."""
        if self.normalization == "none":
            return 1.0
        if self.normalization_power is None:
            return 0.45
        return self.normalization_power
