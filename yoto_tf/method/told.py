"""Whether a network is told the loss parameters that it is trained for."""

import warnings

import keras
import tensorflow as tf


def untold(joint, outputs, loss_parameters):
    """Names of loss parameters that vary and that a network does not use.

    Args:
        joint: `JointParameters` of the model.
        outputs: of its `call`, symbolic tensors of the current graph.
        loss_parameters: dict, name -> the tensor that `call` was given.
    """
    reached = _reached(outputs)
    names = [n for n in joint.varying if loss_parameters[n].op not in reached]
    # Those of a `Dirichlet` add up to 1, so that one of them may be left out.
    one_tells = not joint.ends_of_each()
    return [] if one_tells and len(names) < len(joint.varying) else names


def warn_of_untold(model, names):
    """Warns of what `untold` found, if it found any.

    Nothing else would say so: the draws weight the terms, the loss falls, and
    the model answers the same for every value that it is asked for.
    """
    if names:
        warnings.warn(
            "expected outputs of call() that depend on every loss parameter "
            "that varies, as on self.coordinates(loss_parameters), received: "
            f"{type(model).__name__}.call(), whose outputs do not use "
            f"{', '.join(map(repr, names))}, and are the same for all values",
            stacklevel=2,
        )


def _reached(outputs):
    """The operations of a graph that tensors are made of."""
    waiting = [t.op for t in _tensors(outputs)]
    reached = set(waiting)
    while waiting:
        for tensor in waiting.pop().inputs:
            if tensor.op not in reached:
                reached.add(tensor.op)
                waiting.append(tensor.op)
    return reached


def _tensors(outputs):
    flat = tf.nest.flatten(keras.tree.flatten(outputs), expand_composites=True)
    return [t for t in flat if tf.is_symbolic_tensor(t)]
