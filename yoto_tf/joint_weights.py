"""The weights of all loss terms of a model, drawn together."""

import math

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.loss_weights import Constant
from yoto_tf.loss_weights import LossWeight


def _seed_of_term(seed, index):
    """Different numbers for every term, also from one whole number."""
    return seed + index if isinstance(seed, int) else seed


def _check_weights(weights, names):
    """Raises `InputError` unless all `names` have weights `(batch,)`."""
    if set(weights) != set(names):
        raise InputError(
            f"expected weights of the terms {sorted(names)}, "
            f"received: {sorted(weights)}"
        )
    for name, weight in weights.items():
        shape = getattr(weight, "shape", ())
        if len(shape) != 1:
            raise InputError(
                "expected weights of shape (batch,), "
                f"received: {name} with shape {tuple(shape)}"
            )


@keras.saving.register_keras_serializable("yoto_tf")
class Independent:
    """Every term has its own distribution.

    Args:
        weights: dict, name of the term -> `LossWeight`, or a number for a
            constant weight.
    """

    def __init__(self, weights):
        if not weights:
            raise InputError("expected at least one loss term, received: {}")
        self.weights = {
            name: w if isinstance(w, LossWeight) else Constant(w)
            for name, w in weights.items()
        }

    @property
    def names(self):
        """Names of the terms, in order."""
        return tuple(self.weights)

    @property
    def num_coordinates(self):
        """Length of the conditioning vector of one example."""
        return sum(w.num_coordinates for w in self.weights.values())

    def sample(self, batch_size, seed, step=None):
        """Draws one weight per term and example.

        Args:
            batch_size, seed, step: see `LossWeight.sample_at`.

        Returns:
            dict, name -> float32 tensor `(batch_size,)`.
        """
        return {
            name: w.sample_at(batch_size, _seed_of_term(seed, i), step)
            for i, (name, w) in enumerate(self.weights.items())
        }

    def coordinates(self, weights):
        """Maps a dict of `(batch,)` weights to `(batch, num_coordinates)`.

        Raises:
            InputError: for a missing or unknown name, or another shape.
        """
        _check_weights(weights, self.names)
        return ops.concatenate(
            [w.coordinate(weights[n]) for n, w in self.weights.items()], -1
        )

    @property
    def coordinate_ends(self):
        """See `LossWeight`; over all terms that have a coordinate."""
        ends = [
            w.coordinate_ends
            for w in self.weights.values()
            if w.num_coordinates
        ]
        if not ends or None in ends:
            return None
        return min(low for low, _ in ends), max(high for _, high in ends)

    def grid(self, num):
        """Returns dicts of fixed weights: all combinations of the terms'
        own grids of `num` values."""
        points = [{}]
        for name, w in self.weights.items():
            points = [
                {**p, name: float(v)} for p in points for v in w.grid(num)
            ]
        return points

    def label(self, weights):
        """Names a dict of fixed weights by those that vary."""
        varying = [
            f"{weights[n]:g}"
            for n, w in self.weights.items()
            if w.num_coordinates
        ]
        return "_".join(varying) or "fixed"

    def get_config(self):
        return {
            "weights": {
                n: keras.saving.serialize_keras_object(w)
                for n, w in self.weights.items()
            }
        }

    @classmethod
    def from_config(cls, config):
        return cls(
            {
                n: keras.saving.deserialize_keras_object(w)
                for n, w in config["weights"].items()
            }
        )


@keras.saving.register_keras_serializable("yoto_tf")
class Dirichlet:
    """Positive weights that sum to 1, over several terms.

    Args:
        concentration: dict, name of the term -> positive number; all 1:
            uniform on the simplex.
    """

    def __init__(self, concentration):
        if len(concentration) < 2 or not all(
            math.isfinite(a) and a > 0 for a in concentration.values()
        ):
            raise InputError(
                "expected two or more concentrations above 0, received: "
                f"concentration={concentration}"
            )
        if not all(1e-3 <= a <= 1e6 for a in concentration.values()):
            raise InputError(
                "expected concentrations between 0.001 and 1e6, beyond which "
                "float32 holds no weights between, received: "
                f"concentration={concentration}"
            )
        self.concentration = {n: float(a) for n, a in concentration.items()}

    @property
    def names(self):
        """Names of the terms, in order."""
        return tuple(self.concentration)

    @property
    def num_coordinates(self):
        """Length of the conditioning vector of one example."""
        return len(self.concentration)

    def sample(self, batch_size, seed, step=None):
        """Draws weights, the same way at every step; see `Independent`."""
        # Normalised independent gamma variables are Dirichlet. Those of a
        # small concentration are far below what float32 holds, their
        # logarithms are not (Marsaglia & Tsang, ACM TOMS 2000, section 6).
        logs = []
        for i, a in enumerate(self.concentration.values()):
            larger = keras.random.gamma(
                (batch_size,), a + 1, seed=_seed_of_term(seed, 2 * i)
            )
            uniform = keras.random.uniform(
                (batch_size,), seed=_seed_of_term(seed, 2 * i + 1)
            )
            uniform = ops.maximum(uniform, 2.0**-24)
            logs.append(ops.log(larger) + ops.log(uniform) / a)
        # A weight is never exactly zero.
        shares = ops.maximum(ops.softmax(ops.stack(logs, -1)), 1e-30)
        return dict(zip(self.names, ops.unstack(shares, axis=-1), strict=True))

    def coordinates(self, weights):
        """Each weight with mean 0 and deviation 1 under the distribution.

        Raises:
            InputError: for a missing or unknown name, or another shape.
        """
        _check_weights(weights, self.names)
        mean, deviation = (m.astype("float32") for m in self._moments())
        stacked = ops.stack([weights[n] for n in self.names], -1)
        return (stacked - mean) / deviation

    def _moments(self):
        """Mean and deviation of each weight."""
        a = np.array(list(self.concentration.values()))
        mean = a / a.sum()
        return mean, np.sqrt(mean * (1 - mean) / (a.sum() + 1))

    @property
    def coordinate_ends(self):
        """See `LossWeight`; over all terms."""
        mean, deviation = self._moments()
        return (
            float((-mean / deviation).min()),
            float(((1 - mean) / deviation).max()),
        )

    def grid(self, num):
        """Returns the mean and, for each term, a point with weight 0.8 on
        it and the rest shared; `num` of them at most."""
        names = self.names
        total = sum(self.concentration.values())
        points = [{n: a / total for n, a in self.concentration.items()}]
        rest = 0.2 / (len(names) - 1)
        points += [
            {n: 0.8 if n == main else rest for n in names} for main in names
        ]
        return points[:num]

    def label(self, weights):
        """Names a dict of fixed weights."""
        return "_".join(f"{weights[n]:.3g}" for n in self.names)

    def get_config(self):
        return {"concentration": self.concentration}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
