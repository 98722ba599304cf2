"""How the terms of a loss become one number per example."""

import inspect

import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method.base import to_number
from yoto_tf.method.run_length import UNKNOWN

NORMALIZATIONS = ("none", "geometric_mean", "sum")


class Objective:
    """sum_i w_i L_i / norm(w) ** power, example by example.

    Args:
        normalization: norm(w) is the weights' `"sum"`, their
            `"geometric_mean"` (the authors' `normalize_loss_weights`) or 1
            (`"none"`): large weights would drown small ones.
        power: above 0 to 2 (the authors: 1). Beside a weight of 1 the geometric
            mean to the power 2 is the other weight.
        warm_up: dict, name of a term -> 0 to 1, the share of the run in which
            its weight rises from 0 to what was drawn (KL warm-up: Bowman et
            al., CoNLL 2016). The network is told the drawn weight from the
            start. A run's steps are those of the first `fit`; where Keras
            does not know them, 3,000.
        weight_names: dict, name of a term -> of the parameter that is its
            weight, where they are called differently.

    Raises:
        InputError: for a normalization that is not known, a power outside of
            its range, or one without effect.
    """

    def __init__(
        self, normalization="none", power=1.0, warm_up=None, weight_names=None
    ):
        if normalization not in NORMALIZATIONS:
            raise InputError(
                f"expected normalization to be one of {NORMALIZATIONS}, "
                f"received: normalization={normalization!r}"
            )
        power = to_number("normalization_power", power)
        if not 0 < power <= 2 or (normalization == "none" and power != 1):
            raise InputError(
                "expected normalization_power above 0 to 2, beside a "
                f"normalization, received: normalization_power={power}, "
                f"normalization={normalization!r}"
            )
        self.normalization = normalization
        self.power = power
        if warm_up is not None and not isinstance(warm_up, dict):
            raise InputError(
                "expected warm_up as a dict, name of a term -> share of the "
                f"run, received: warm_up={warm_up!r}"
            )
        self.warm_up = {
            n: to_number("warm_up", share)
            for n, share in (warm_up or {}).items()
        }
        wrong = [s for s in self.warm_up.values() if not 0 <= s <= 1]
        if wrong:
            raise InputError(
                f"expected warm_up from 0 to 1, received: warm_up={wrong[0]}"
            )
        self.weight_names = dict(weight_names or {})

    def weights(self, terms, parameters):
        """The weight of each term: the parameter of its name, or 1.

        Args:
            terms, parameters: dicts, name -> `(batch,)`.

        Returns:
            dict, name of a term -> `(batch,)` of the term's dtype.
        """
        names = {n: self.weight_names.get(n, n) for n in terms}
        return {
            n: ops.cast(parameters[names[n]], t.dtype)
            if names[n] in parameters
            else ops.ones_like(t)
            for n, t in terms.items()
        }

    def warmed(self, terms, step, run_steps):
        """Scales the terms whose weights are still rising.

        Args:
            terms: dict, name -> tensor.
            step: number of finished train steps.
            run_steps: of the whole run; 0: not known.

        Raises:
            InputError: for a warm-up of a term that is not there.
        """
        unknown = sorted(set(self.warm_up) - set(terms))
        if unknown:
            raise InputError(
                f"expected warm_up of terms among {sorted(terms)}, "
                f"received: {unknown[0]!r}"
            )
        step, run = (ops.cast(n, "float32") for n in (step, run_steps))
        run = ops.where(run > 0, run, float(UNKNOWN))
        warmed = dict(terms)
        for name, share in self.warm_up.items():
            if share:
                factor = ops.minimum((step + 1) / (share * run), 1.0)
                warmed[name] *= ops.cast(factor, terms[name].dtype)
        return warmed

    def __call__(self, terms, parameters):
        """Weights and normalises; nothing is averaged.

        Args:
            terms, parameters: dicts, name -> `(batch,)`.

        Returns:
            `(batch,)`.
        """
        weights = self.weights(terms, parameters)
        weighted = sum(weights[n] * t for n, t in terms.items())
        if self.normalization == "none":
            return weighted
        if self.normalization == "sum":
            divisor = sum(weights.values())
        else:
            logs = sum(ops.log(w) for w in weights.values())
            divisor = ops.exp(logs / len(weights))
        return weighted / ops.power(divisor, self.power)

    def get_config(self):
        return {
            "normalization": self.normalization,
            "normalization_power": self.power,
            "warm_up": self.warm_up,
        }


def check_form(model_class):
    """Refuses a subclass of the older form."""
    for method, expected in (
        ("call", ["x", "loss_parameters"]),
        ("loss_terms", ["x", "y", "outputs", "loss_parameters"]),
    ):
        function = getattr(model_class, method)
        arguments = inspect.signature(function).parameters
        names = list(arguments)[1:]
        if any(a.kind is a.VAR_POSITIONAL for a in arguments.values()):
            continue
        if "loss_weights" in names or len(names) < len(expected):
            raise InputError(
                f"expected {model_class.__name__}.{method}"
                f"({', '.join(expected)}), received: {method}"
                f"({', '.join(names)}); run the network in call(), and score "
                "its outputs in loss_terms()"
            )


def check_terms(terms, batch_shape):
    """Raises `InputError` unless `terms` is a dict, name -> `(batch,)`.

    Args:
        terms: what `loss_terms` returned.
        batch_shape: static number of examples, or None.
    """
    if not isinstance(terms, dict) or not terms:
        raise InputError(
            "expected loss_terms() to return a dict, name -> (batch,), "
            f"received: {terms!r}"
        )
    for name, term in terms.items():
        # `(batch, 1) * (batch,)` would be `(batch, batch)`, silently, and a
        # mean over the batch, `(1,)`, be broadcast.
        shape = getattr(term, "shape", ())
        if tf.TensorShape(shape).rank is None:
            raise InputError(
                "expected every loss term to have the shape (batch,), "
                f"received: {name} with an unknown rank, as of x or y of "
                "another rank than those before"
            )
        shape = tuple(shape)
        if (
            len(shape) != 1
            or shape[0] == 1 != batch_shape
            or None not in (batch_shape, shape[0])
            and (shape[0] != batch_shape)
        ):
            raise InputError(
                "expected every loss term to have the shape (batch,), "
                f"received: {name} with shape {shape}"
            )


class Reads(dict):
    """A dict that remembers which of its entries were read."""

    def __init__(self, entries):
        super().__init__(entries)
        self.read = set()

    def __iter__(self):
        # Else Python copies a dict without asking for its entries.
        return super().__iter__()

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        self.read.add(key)
        return super().get(key, default)

    def items(self):
        self.read.update(self)
        return super().items()

    def values(self):
        self.read.update(self)
        return super().values()
