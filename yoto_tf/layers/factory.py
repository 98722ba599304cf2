"""From a `ConditioningConfig` to its layer."""

from yoto_tf.layers.conditioning import Concatenation
from yoto_tf.layers.conditioning import FiLM
from yoto_tf.layers.conditioning import Gate
from yoto_tf.layers.conditioning import SigmoidFiLM
from yoto_tf.layers.spline import SplineFiLM


def make_conditioning(
    config, *, width=1, decoder=False, start=(0.0, 0.0), name=None
):
    """Builds the conditioning layer that a `ConditioningConfig` names.

    Args:
        config: `yoto_tf.config.ConditioningConfig`.
        width: multiplier of FiLM's hidden units.
        decoder: whether the layer sits in the decoder (gates differ there).
        start: of splines: offset and slope of the last half of the shifts.
        name: of the layer.

    Returns:
        A `ConditioningLayer`, or None for `kind="none"`.
    """
    match config.kind:
        case "film":
            return FiLM(config.hidden_units * width, config.strength, name=name)
        case "sigmoid_film":
            return SigmoidFiLM(config.hidden_units * width, name=name)
        case "gate":
            return Gate("sqrt" if decoder else "sigmoid", name=name)
        case "spline":
            return SplineFiLM(config.knots, start, name=name)
        case "concatenation":
            return Concatenation(name=name)
        case "none":
            return None
