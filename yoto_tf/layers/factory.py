"""From a configuration to its layer."""

from yoto_tf.layers.conditioning import FiLM
from yoto_tf.layers.conditioning import Gate
from yoto_tf.layers.conditioning import SigmoidFiLM
from yoto_tf.layers.spline import SplineFiLM
from yoto_tf.registry import CONDITIONING


def make_conditioning(config, *, width=1, decoder=False, name=None):
    """Builds the conditioning layer that a `ConditioningConfig` names.

    Args:
        config: `yoto_tf.ConditioningConfig`.
        width: multiplier of FiLM's hidden units.
        decoder: whether the layer sits in the decoder (gates differ there).
        name: of the layer.

    Returns:
        A `ConditioningLayer`, or None for `kind="none"`.

    Raises:
        InputError: for a class of one's own that cannot be used.
    """
    match config.kind:
        case "film":
            return FiLM(config.hidden_units * width, config.strength, name=name)
        case "sigmoid_film":
            return SigmoidFiLM(config.hidden_units * width, name=name)
        case "gate":
            return Gate("sqrt" if decoder else "sigmoid", name=name)
        case "spline":
            return SplineFiLM(config.knots, name=name)
        case _:
            return CONDITIONING.make(config.kind, name=name)
