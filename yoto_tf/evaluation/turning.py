"""Does turning a loss parameter change what a model answers?"""

import numpy as np
import tensorflow as tf

from yoto_tf.examples import arrays_of
from yoto_tf.method import asking

# Of the largest answer: what float32 loses from one run to the next.
_TOLERANCE = 1e-5


def without_effect(model, examples, num=8):
    """Finds loss parameters that change no answer.

    Args:
        model: `LossConditionalModel`, trained.
        examples: `Examples` or an array; the first `num` are asked.
        num: number of examples.

    Returns:
        list of `(name, low, high)`: parameters that vary, and whose lowest
        and highest trained value give the same `served_outputs`, the others
        at their defaults.
    """
    x = arrays_of(examples[:num])[0]
    joint = model.loss_parameters
    # One of several weights that sum to 1 is not turned alone.
    parameters = getattr(joint, "parameters", {})
    found = []
    for name in (n for n in joint.varying if n in parameters):
        p = parameters[name]
        low, high = (
            _answers(model, x, {**joint.defaults, name: value})
            for value in (p.low, p.high)
        )
        if all(map(_same, low, high)):
            found.append((name, float(p.low), float(p.high)))
    return found


def _answers(model, x, values):
    x = tf.convert_to_tensor(model.check_batch(x, None)[0])
    outputs = model.served_outputs(x, asking.filled(values, x))
    return [np.asarray(o, "float64") for o in tf.nest.flatten(outputs)]


def _same(one, other):
    largest = max(np.abs(one).max(initial=0), np.abs(other).max(initial=0))
    return np.abs(one - other).max(initial=0) <= _TOLERANCE * largest
