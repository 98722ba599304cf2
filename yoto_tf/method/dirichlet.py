"""Weights of several terms that share out a whole."""

import math
import numbers

import keras
import numpy as np
from keras import ops

from yoto_tf.contract.sentences import number
from yoto_tf.errors import InputError
from yoto_tf.method.assertions import checked
from yoto_tf.method.assertions import first_bad
from yoto_tf.method.joint_base import JointParameters
from yoto_tf.method.joint_base import check_names
from yoto_tf.method.joint_base import seed_of_parameter


@keras.saving.register_keras_serializable("yoto_tf")
class Dirichlet(JointParameters):
    """Weights above 0 that sum to 1, over several terms.

    Args:
        concentration: dict, name of the term -> positive number; all 1:
            uniform on the simplex.

    Example:
        Dirichlet({"style": 1.0, "content": 1.0, "smoothness": 0.5})
    """

    def __init__(self, concentration):
        if not isinstance(concentration, dict) or not all(
            isinstance(a, numbers.Real) and not isinstance(a, bool)
            for a in concentration.values()
        ):
            raise InputError(
                "expected a dict, name of a term -> number, received: "
                f"concentration={concentration!r}"
            )
        check_names(concentration)
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
        return tuple(self.concentration)

    varying = names

    @property
    def num_coordinates(self):
        return len(self.concentration)

    def sample(self, num, seed, step=None, warps=None):
        # Normalised independent gamma variables are Dirichlet. Those of a
        # small concentration are far below what float32 holds, their
        # logarithms are not (Marsaglia & Tsang, ACM TOMS 2000, section 6).
        logs = []
        for i, a in enumerate(self.concentration.values()):
            larger = keras.random.gamma(
                (num,), a + 1, seed=seed_of_parameter(seed, 2 * i)
            )
            uniform = keras.random.uniform(
                (num,), seed=seed_of_parameter(seed, 2 * i + 1)
            )
            uniform = ops.maximum(uniform, 2.0**-24)
            logs.append(ops.log(larger) + ops.log(uniform) / a)
        # A weight is never exactly zero.
        shares = ops.maximum(ops.softmax(ops.stack(logs, -1)), 1e-30)
        return dict(zip(self.names, ops.unstack(shares, axis=-1), strict=True))

    def _coordinates(self, values):
        # Each weight with mean 0 and deviation 1 under the distribution.
        mean, deviation = self._moments()
        stacked = ops.stack([values[n] for n in self.names], -1)
        return (stacked - ops.cast(mean, stacked.dtype)) / ops.cast(
            deviation, stacked.dtype
        )

    def _moments(self):
        """Mean and deviation of each weight."""
        a = np.array(list(self.concentration.values()))
        mean = a / a.sum()
        return mean, np.sqrt(mean * (1 - mean) / (a.sum() + 1))

    @property
    def coordinate_ends(self):
        mean, deviation = self._moments()
        return (
            float((-mean / deviation).min()),
            float(((1 - mean) / deviation).max()),
        )

    @property
    def defaults(self):
        """The mean of the distribution."""
        total = sum(self.concentration.values())
        return {n: a / total for n, a in self.concentration.items()}

    def watched(self):
        """The mean and, for each term, a point with weight 0.8 on it, or as
        much of it as is drawn, and the others in their proportions."""
        points = [self.defaults]
        for main, mean, deviation in zip(
            self.names, *self._moments(), strict=True
        ):
            most = min(0.8, mean + 3 * deviation)
            most = float(most if mean < most else (1 + mean) / 2)
            others = {n: w for n, w in self.defaults.items() if n != main}
            share = (1 - most) / sum(others.values())
            points.append(
                {main: most, **{n: w * share for n, w in others.items()}}
            )
        # Of two terms one's point may be the other's.
        return list({self.label(p): p for p in points}.values())

    def complete_tensors(self, asked):
        missing = sorted(set(self.names) - set(asked or self.names))
        if missing:
            raise InputError(
                f"expected all of {list(self.names)}, whose sum is 1, "
                f"received: none of {missing}"
            )
        return super().complete_tensors(asked)

    def checked(self, values):
        first = self.names[0]
        good = self.trained(values)[first]
        return {
            **values,
            first: checked(
                values[first],
                ops.all(good),
                f"{self._expected()}, received:",
                *(
                    part
                    for n in self.names
                    for part in (f"{n}=", first_bad(values[n], good))
                ),
            ),
        }

    def trained(self, values):
        stacked = ops.stack([values[n] for n in self.names], -1)
        total = ops.sum(stacked, -1)
        good = (ops.min(stacked, -1) > 0) & (ops.abs(total - 1) < 1e-4)
        return dict.fromkeys(self.names, good)

    def check(self, values):
        self._check_lengths(values)
        total = sum(values.values())
        good = np.abs(total - 1) < 1e-4
        for value in values.values():
            good = good & (value > 0)
        if not good.all():
            bad = {
                n: float(np.broadcast_to(v, good.shape)[~good].flat[0])
                for n, v in values.items()
            }
            raise InputError(
                f"{self._expected()}, received: "
                + " ".join(f"{n}={number(v)}" for n, v in bad.items())
            )

    def _expected(self):
        return f"expected {', '.join(self.names)} above 0 with a sum of 1"

    def _range(self, name):
        ends = {"low": 0.0, "high": 1.0, "ranges": [(0.0, 1.0)]}
        return {"scale": "simplex", "description": "", **ends}

    def describe(self, name):
        return "above 0, with a sum of 1"

    def is_positive(self, name):
        return True

    def label(self, values):
        return ",".join(f"{n}={values[n]:.3g}" for n in self.names)

    def get_config(self):
        return {"concentration": self.concentration}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
