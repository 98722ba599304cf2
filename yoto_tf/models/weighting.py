"""How the terms of a loss become one number per example."""

from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.layers.spline import SplineFiLM
from yoto_tf.models import first_batch

NORMALIZATIONS = ("none", "geometric_mean", "sum")


def weighted_sum(terms, loss_weights, normalization="none", power=1.0):
    """Weights the terms of every example; nothing is averaged.

    Args:
        terms, loss_weights: dicts of the same names -> `(batch,)`.
        normalization: divide by the weights' `"geometric_mean"`, `"sum"`, or
            not (`"none"`) ...
        power: ... to this power.

    Returns:
        `(batch,)`.

    Raises:
        InputError: if a term is missing, unknown or not per example.
    """
    names = list(loss_weights)
    check_terms(terms, names)
    loss_weights = {
        n: ops.cast(w, terms[n].dtype) for n, w in loss_weights.items()
    }
    weighted = sum(loss_weights[n] * terms[n] for n in names)
    if normalization == "none":
        return weighted
    if normalization == "sum":
        divisor = sum(loss_weights[n] for n in names)
    else:
        logs = sum(ops.log(loss_weights[n]) for n in names)
        divisor = ops.exp(logs / len(names))
    return weighted / ops.power(divisor, power)


def check_terms(terms, names):
    """Raises `InputError` unless `terms` is a dict of the `names` ->
    `(batch,)`."""
    if not isinstance(terms, dict):
        raise InputError(
            "expected loss_terms() to return a dict, name of a term -> "
            f"(batch,), received: {type(terms).__name__}"
        )
    if set(terms) != set(names):
        # Which of the two is misspelt, only its author knows.
        alone = [
            f"no term for the weight {n!r}" for n in names if n not in terms
        ]
        alone += [
            f"no weight for the term {n!r}" for n in terms if n not in names
        ]
        raise InputError(
            f"expected loss_terms() to return the terms {sorted(names)}, "
            f"received: {sorted(terms)}; {', '.join(alone)}"
        )
    for name, term in terms.items():
        # `(batch, 1) * (batch,)` would be `(batch, batch)`, silently.
        if len(term.shape) != 1:
            raise InputError(
                "expected every loss term to have the shape (batch,), "
                f"received: {name} with shape {tuple(term.shape)}"
            )


def warmed_up(terms, warmup_steps, step):
    """Scales the terms whose weights are still rising.

    Args:
        terms: dict, name -> tensor.
        warmup_steps: dict, name -> steps of the linear rise; 0: none.
        step: number of finished train steps.
    """
    step = ops.cast(step + 1, "float32")
    return {
        name: term
        * ops.cast(ops.minimum(step / warmup_steps[name], 1.0), term.dtype)
        if warmup_steps.get(name)
        else term
        for name, term in terms.items()
    }


def scaled(per_example, sample_weight):
    """Losses `(batch,)` times Keras' `sample_weight`, or as they are."""
    if sample_weight is None:
        return per_example
    # Keras hands on `(batch, 1)` as it comes, which would broadcast.
    return per_example * ops.cast(
        ops.reshape(sample_weight, ops.shape(per_example)), per_example.dtype
    )


def check_splines(model):
    """Raises `InputError` where splines would clip different weights to one
    end."""
    ends = model.weight_distribution.coordinate_ends
    for layer in first_batch.all_layers(model) if ends else ():
        if isinstance(layer, SplineFiLM) and not (
            layer.ends[0] <= ends[0] + 1e-3 and ends[1] - 1e-3 <= layer.ends[1]
        ):
            raise InputError(
                "expected SplineFiLM(ends=...) as far as the weights' "
                f"coordinates, ends=({ends[0]:.4g}, {ends[1]:.4g}), received: "
                f"{layer.name} with ends=({layer.ends[0]:.4g}, "
                f"{layer.ends[1]:.4g})"
            )


def check_warmup(steps, loss_weights):
    unknown = sorted(set(steps) - set(loss_weights.names))
    if unknown or not all(s >= 0 for s in steps.values()):
        raise InputError(
            "expected warmup_steps of 0 or more for terms among "
            f"{sorted(loss_weights.names)}, received: warmup_steps={steps}"
        )


def check_watched(watched, loss_weights):
    for weights in watched:
        if set(weights) != set(loss_weights.names):
            raise InputError(
                "expected every entry of watched_weights to name "
                f"{sorted(loss_weights.names)}, received: {sorted(weights)}"
            )
    labels = [loss_weights.label(weights) for weights in watched]
    if len(set(labels)) < len(labels):
        raise InputError(
            "expected watched_weights that differ in the weights that vary, "
            f"received: watched_weights={watched}"
        )


def check_choice(name, value, choices):
    if value not in choices:
        raise InputError(
            f"expected {name} to be one of {choices}, "
            f"received: {name}={value!r}"
        )
