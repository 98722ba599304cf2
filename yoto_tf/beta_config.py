"""The distribution of beta, as an experiment declares it."""

from dataclasses import dataclass
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config


def check_shares(
    low, high, focus, focus_share, lead, lead_share, lead_last_share
):
    """Raises `InputError` if `LogUniform` cannot draw so."""
    for name, weight in (("focus", focus), ("lead", lead)):
        if weight is not None and not low <= weight <= high:
            raise InputError(
                f"expected {name} between low={low} and high={high}, "
                f"received: {name}={weight}"
            )
    if not 0 < focus_share < 1:
        raise InputError(
            "expected focus_share above 0 and below 1, "
            f"received: {focus_share=}"
        )
    for name, share in (
        ("lead_share", lead_share),
        ("lead_last_share", lead_last_share),
    ):
        if not 0 <= share <= 1:
            raise InputError(
                f"expected {name} between 0 and 1, received: {name}={share}"
            )


@dataclass(frozen=True, kw_only=True)
class BetaConfig(Config):
    """The distribution of beta, the weight of the rate, during training."""

    distribution: Literal["log_uniform", "uniform", "choice", "constant"] = (
        "log_uniform"
    )
    low: float = 0.125
    """Lowest beta of (log-)uniform. Of constant: of the range over which the
    posterior's start is laid, as in a model of all its betas."""
    high: float = 512.0
    """Highest beta of (log-)uniform, or of constant's range."""
    focus: float | None = None
    """Of log_uniform: a beta to be drawn more often, because it needs more
    training than the others or is asked for more; unset: none."""
    focus_share: float = 0.6
    """So many of all draws are within a factor of sqrt(2) of `focus`."""
    lead: float | None = None
    """Of log_uniform: a beta to begin with, so that a lean code for it is
    found before small betas settle on another; unset: none."""
    lead_steps: int = 150
    """So many steps draw betas within a factor of sqrt(2) of `lead` alone."""
    lead_share: float = 0.6
    """Right afterwards so many of all draws are within a factor of 4 of
    `lead`, so that its code is not lost ..."""
    lead_fade_steps: int = 1350
    """... and ever fewer, until after so many steps ..."""
    lead_last_share: float = 0.1
    """... it is this share, to the end."""
    values: tuple[float, ...] = ()
    """The betas of `choice`, or the one of `constant` (fixed weight)."""
    draw_per: Literal["example", "batch"] = "example"
    """`batch`: one beta for a whole batch, for ablations."""
    normalization: Literal["none", "geometric_mean", "sum"] = "sum"
    """Divide the loss by the weights' sum (1 + beta) or their geometric mean
    (authors' option; sqrt(beta)): large betas would drown small ones."""
    normalization_power: float = 0.45
    """Divide by the above to this power (the authors: 1)."""
    warmup_steps: int = 0
    """KL warm-up: the weight of the rate rises linearly from 0 to beta over
    so many steps. Fixed weights collapse at large beta without it."""
    free_nats: float = 0.0
    """A latent whose part of the loss, beta times its rate, is smaller than
    this has no rate to pay at first, so that a beginning at large betas does
    not cost the latents that only small ones need (free bits: Kingma et al.,
    NeurIPS 2016, appendix C.8)."""
    free_steps: int = 2500
    """`free_nats` falls linearly to 0 over so many steps."""

    def _check(self):
        self._not_negative(
            "warmup_steps", "lead_steps", "lead_fade_steps", "free_nats"
        )
        self._positive("free_steps")
        if self.distribution != "choice" and not 0 < self.low < self.high:
            raise InputError(
                "expected 0 < low < high, received: "
                f"low={self.low}, high={self.high}"
            )
        if self.distribution in ("choice", "constant") and (
            not self.values or not all(v > 0 for v in self.values)
        ):
            raise InputError(
                f"expected values above 0 for "
                f"distribution={self.distribution!r}, "
                f"received: values={self.values}"
            )
        if self.distribution == "log_uniform":
            check_shares(
                self.low,
                self.high,
                self.focus,
                self.focus_share,
                self.lead,
                self.lead_share,
                self.lead_last_share,
            )
        if self.distribution == "constant" and len(self.values) != 1:
            raise InputError(
                "expected one value for distribution='constant', "
                f"received: values={self.values}"
            )
        if not 0 <= self.normalization_power <= 1:
            raise InputError(
                "expected normalization_power between 0 and 1, received: "
                f"normalization_power={self.normalization_power}"
            )
