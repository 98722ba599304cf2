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
        """Maps a dict of `(batch,)` weights to `(batch, num_coordinates)`."""
        return ops.concatenate(
            [w.coordinate(weights[n]) for n, w in self.weights.items()], -1
        )

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
        # Normalised independent gamma variables are Dirichlet.
        gammas = [
            # The smallest float32 keeps a weight from being exactly zero.
            ops.maximum(
                keras.random.gamma(
                    (batch_size,), a, seed=_seed_of_term(seed, i)
                ),
                1e-30,
            )
            for i, a in enumerate(self.concentration.values())
        ]
        total = sum(gammas)
        return {
            name: g / total for name, g in zip(self.names, gammas, strict=True)
        }

    def coordinates(self, weights):
        """Each weight with mean 0 and deviation 1 under the distribution."""
        a = np.array(list(self.concentration.values()))
        mean = a / a.sum()
        deviation = np.sqrt(mean * (1 - mean) / (a.sum() + 1))
        stacked = ops.stack([weights[n] for n in self.names], -1)
        return (stacked - mean.astype("float32")) / deviation.astype("float32")

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
