"""How a loss with weights becomes one number, as several families have it.

Imports no TensorFlow.
"""

from dataclasses import dataclass
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config


@dataclass(frozen=True, kw_only=True)
class NormalizationConfig(Config):
    """How the terms of the loss become one number."""

    normalization: Literal["none", "geometric_mean", "sum"] = "none"
    """Divide the loss by the weights' sum or their geometric mean, so that
    examples with large weights do not drown the others."""
    normalization_power: float | None = None
    """Divide by the above to this power, above 0 to 2; unset: 1 (the
    authors). Of a weight of 1 and another, the geometric mean to the power 2
    is the other."""

    def _check(self):
        if self.normalization == "none":
            self._without_effect(
                ("normalization_power",), "normalization='none'"
            )
        if self.normalization_power is not None and not (
            0 < self.normalization_power <= 2
        ):
            raise InputError(
                "expected normalization_power above 0 and at most 2, received: "
                f"normalization_power={self.normalization_power}"
            )

    @property
    def power(self):
        """`normalization_power`, or its default."""
        given = self.normalization_power
        return 1.0 if given is None else given
