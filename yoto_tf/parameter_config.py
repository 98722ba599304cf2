"""How a loss parameter is drawn, as settings say it. Imports no TensorFlow."""

import math
from dataclasses import dataclass
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.strict_config import Config


@dataclass(frozen=True, kw_only=True)
class ParameterConfig(Config):
    """The distribution of one loss parameter during training."""

    name: str = "weight"
    """Of the loss term that it weights, or that a term reads it by."""
    distribution: Literal["log_uniform", "uniform", "choice", "constant"] = (
        "log_uniform"
    )
    low: float = 0.1
    """Lowest value of (log-)uniform."""
    high: float = 10.0
    """Highest value of (log-)uniform."""
    values: tuple[float, ...] = ()
    """The values of `choice`, or the one of `constant`."""
    description: str = ""
    """One sentence for users: what turning it does."""

    def _check(self):
        if not self.name.isidentifier():
            raise InputError(
                "expected name of letters, digits and _, received: "
                f"name={self.name!r}"
            )
        setting = f"distribution={self.distribution!r}"
        if self.distribution in ("choice", "constant"):
            self._without_effect(("low", "high"), setting)
            one = self.distribution == "constant"
            if not self.values or (one and len(self.values) > 1):
                raise InputError(
                    f"expected {'one value' if one else 'values'} for "
                    f"{setting}, received: values={self.values}"
                )
            return
        self._without_effect(("values",), setting)
        lowest = 0.0 if self.distribution == "log_uniform" else -math.inf
        if not lowest < self.low < self.high:
            raise InputError(
                f"expected low < high{' above 0' * (lowest == 0)} for "
                f"{setting}, received: low={self.low}, high={self.high}"
            )

    def parameter(self):
        """Builds the `LossParameter` that this names."""
        from yoto_tf.method.parameters import named

        return named(
            self.distribution,
            self.low,
            self.high,
            self.values,
            description=self.description,
        )

    def fixed(self, value):
        """The same parameter as a constant: a dict for settings."""
        return {
            "name": self.name,
            "distribution": "constant",
            "values": (float(value),),
            "description": self.description,
        }
