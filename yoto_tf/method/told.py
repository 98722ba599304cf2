"""Whether a network is told the loss parameters that it is trained for."""

import warnings

import keras
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.layers.spline import SplineFiLM


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


def warn_of_untold(model, outputs, loss_parameters):
    """Warns of what `untold` finds where a train step is made into a graph;
    under `run_eagerly=True` there is none.

    Nothing else would say so: the draws weight the terms, the loss falls, and
    the model answers the same for every value that it is asked for.
    """
    if tf.executing_eagerly():
        return
    names = untold(model.loss_parameters, outputs, loss_parameters)
    names = ", ".join(map(repr, names))
    if names and names != model._untold:
        # Not once for every graph.
        model._untold = names
        warnings.warn(
            "expected outputs of call() that depend on every loss parameter "
            "that varies, as on self.coordinates(loss_parameters), received: "
            f"{type(model).__name__}.call(), whose outputs do not use "
            f"{names}, and are the same for all values",
            stacklevel=2,
        )


def check_splines(model):
    """Raises `InputError` where splines would take different values for one:
    clip them to one end, or have all of a parameter's between two knots."""
    joint = model.loss_parameters
    ends = joint.coordinate_ends
    for layer in model._flatten_layers() if ends else ():
        if not isinstance(layer, SplineFiLM):
            continue
        if not (
            layer.ends[0] <= ends[0] + 1e-3 and ends[1] - 1e-3 <= layer.ends[1]
        ):
            raise InputError(
                "expected SplineFiLM(ends=...) as far as the loss parameters' "
                f"coordinates, ends=({ends[0]:.4g}, {ends[1]:.4g}), received: "
                f"{layer.name} with ends=({layer.ends[0]:.4g}, "
                f"{layer.ends[1]:.4g})"
            )
        between = (layer.ends[1] - layer.ends[0]) / (layer.knots - 1)
        for name, (low, high) in joint.ends_of_each().items():
            if 0 < high - low < between / 10:
                raise InputError(
                    "expected coordinates of every loss parameter that differ "
                    "by as much as those of the others, as "
                    f"standardize=True gives, received: {name} from {low:.4g} "
                    f"to {high:.4g} beside ends=({layer.ends[0]:.4g}, "
                    f"{layer.ends[1]:.4g}) of {layer.name}"
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
