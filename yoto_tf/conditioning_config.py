"""How networks are told the loss parameters: what families share.

Imports no TensorFlow, so that a command line answers at once.
"""

import typing
from dataclasses import dataclass
from typing import Literal

from yoto_tf.errors import InputError
from yoto_tf.registry import CONDITIONING
from yoto_tf.strict_config import Config

# The library's own; `yoto_tf.registry` tells how others are named.
ConditioningKind = Literal[*CONDITIONING.built_in]
# Settings of conditioning that only some kinds have.
OF_KINDS = {
    "knots": ("spline",),
    "hidden_units": ("film", "sigmoid_film"),
    "strength": ("film",),
}


def idle_beside(kind):
    """Names of the settings of conditioning that have no effect beside a
    kind. Of `none`, which switches them all off, there are none: whatever it
    is put beside."""
    if kind == "none":
        return []
    return [name for name, kinds in OF_KINDS.items() if kind not in kinds]


@dataclass(frozen=True, kw_only=True)
class BaseConditioningConfig(Config):
    """How and where a network is told the loss parameters.

    A family says which `sites` its network has: a tuple of a `Literal`.
    """

    kind: ConditioningKind | str = "spline"
    """`spline`: FiLM that is piecewise linear in the log of the weight;
    `film`: the paper's; `sigmoid_film`: the seed report's, both outputs
    through a sigmoid; `gate`: Multi-Rate VAE; `concatenation`: the weight as
    further channels; `none`: not told at all, whatever stands below;
    MODULE:CLASS or 'MODULE:CLASS(name=value)': a layer of your own."""
    sites: tuple[str, ...] = ()
    """Where in the network."""
    knots: int = 5
    """Of `spline`: values of the weight, evenly over its range, at which
    scale and shift are learned."""
    hidden_units: int = 256
    """Width of FiLM's hidden layer (the paper)."""
    strength: float = 0.1
    """FiLM's scale is 1 + strength * output, its shift strength * output
    (the paper: 0.1 on CIFAR-10, 0.01 on Shapes3D)."""

    def __post_init__(self):
        object.__setattr__(self, "kind", CONDITIONING.text(self.kind))
        super().__post_init__()

    def _check(self):
        self._positive("hidden_units", "strength")
        if self.knots < 2:
            raise InputError(
                f"expected knots of 2 or more, received: knots={self.knots}"
            )
        if self.kind == "none":
            return
        self._without_effect(idle_beside(self.kind), self._of("kind"))
        if not self.sites or len(set(self.sites)) < len(self.sites):
            (site, _) = typing.get_args(
                typing.get_type_hints(type(self))["sites"]
            )
            raise InputError(
                "expected different sites among "
                f"{', '.join(typing.get_args(site))} for kind={self.kind!r}, "
                f"received: sites={self.sites}"
            )
        if self.kind == "concatenation" and "output" in self.sites:
            raise InputError(
                "expected sites other than 'output' for "
                "kind='concatenation', which would add numbers to the "
                f"answer, received: sites={self.sites}"
            )
