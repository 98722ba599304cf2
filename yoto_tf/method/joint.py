"""All parameters of a loss, drawn, asked for and told together."""

import math

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method.assertions import checked
from yoto_tf.method.base import LossParameter
from yoto_tf.method.joint_base import JointParameters
from yoto_tf.method.parameters import Constant


@keras.saving.register_keras_serializable("yoto_tf")
class Independent(JointParameters):
    """Every parameter has its own distribution.

    Args:
        parameters: dict, name -> `LossParameter`, or a number for one that
            is always the same.

    Example:
        joint = Independent({"miss": LogUniform(0.1, 10.0), "false_alarm": 1})
        joint.varying  # ("miss",)
    """

    def __init__(self, parameters):
        if not parameters:
            raise InputError(
                "expected one or more loss parameters, received: none"
            )
        for name, p in parameters.items():
            if not isinstance(name, str):
                raise InputError(
                    f"expected names of loss parameters, received: {name!r}"
                )
            if not isinstance(p, LossParameter | int | float):
                raise InputError(
                    f"expected {name} to be a LossParameter or a number, "
                    f"received: {name}={p!r}"
                )
        self.parameters = {
            name: p if isinstance(p, LossParameter) else Constant(p)
            for name, p in parameters.items()
        }

    @property
    def names(self):
        return tuple(self.parameters)

    @property
    def varying(self):
        return tuple(n for n, p in self.parameters.items() if p.num_coordinates)

    @property
    def num_coordinates(self):
        return sum(p.num_coordinates for p in self.parameters.values())

    def sample(self, num, seed, step=None):
        return {
            name: p.sample(num, _seed_of_parameter(seed, i), step)
            for i, (name, p) in enumerate(self.parameters.items())
        }

    def _coordinates(self, values):
        return ops.concatenate(
            [p.coordinate(values[n]) for n, p in self.parameters.items()], -1
        )

    @property
    def coordinate_ends(self):
        ends = [self.parameters[n].coordinate_ends for n in self.varying]
        if not ends:
            return None
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def defaults(self):
        return {n: p.default for n, p in self.parameters.items()}

    def watched(self):
        """The ends and the middle of a single one that varies; of several,
        the middles, and the ends of each beside the others' middles."""
        middle = {n: float(p.grid(1)[0]) for n, p in self.parameters.items()}
        if len(self.varying) == 1:
            (name,) = self.varying
            values = self.parameters[name].grid(3)
            return [{**middle, name: float(v)} for v in values]
        points = [middle]
        for name in self.varying:
            p = self.parameters[name]
            points += [{**middle, name: v} for v in (p.low, p.high)]
        return points

    def check(self, values):
        for name, p in self.parameters.items():
            good = p.contains(values[name])
            if not good.all():
                bad = float(values[name][~good].flat[0])
                raise InputError(
                    f"expected {name} {p.describe()}, received: {name}={bad:g}"
                )

    def checked(self, values):
        result = {}
        for name, p in self.parameters.items():
            low, high = p.intervals().T.astype("float32")
            value = values[name]
            column = ops.expand_dims(value, -1)
            good = ops.any((column >= low) & (column <= high), -1)
            result[name] = checked(
                value,
                ops.all(good),
                f"expected {name} {p.describe()}, received: {name}=",
                value[ops.argmin(ops.cast(good, "int32"))],
            )
        return result

    def describe(self, name):
        return self.parameters[name].describe()

    def _range(self, name):
        p = self.parameters[name]
        names = ("scale", "description", "low", "high")
        return {n: getattr(p, n) for n in names}

    def is_positive(self, name):
        return name not in self.parameters or self.parameters[name].low > 0

    def get_config(self):
        return {
            "parameters": {
                n: keras.saving.serialize_keras_object(p)
                for n, p in self.parameters.items()
            }
        }

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        return cls({n: load(p) for n, p in config["parameters"].items()})


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

    def sample(self, num, seed, step=None):
        # Normalised independent gamma variables are Dirichlet. Those of a
        # small concentration are far below what float32 holds, their
        # logarithms are not (Marsaglia & Tsang, ACM TOMS 2000, section 6).
        logs = []
        for i, a in enumerate(self.concentration.values()):
            larger = keras.random.gamma(
                (num,), a + 1, seed=_seed_of_parameter(seed, 2 * i)
            )
            uniform = keras.random.uniform(
                (num,), seed=_seed_of_parameter(seed, 2 * i + 1)
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
        """The mean and, for each term, a point with weight 0.8 on it and
        the rest shared."""
        rest = 0.2 / (len(self.names) - 1)
        return [
            self.defaults,
            *(
                {n: 0.8 if n == main else rest for n in self.names}
                for main in self.names
            ),
        ]

    def complete_tensors(self, asked):
        missing = sorted(set(self.names) - set(asked or self.names))
        if missing:
            raise InputError(
                f"expected all of {list(self.names)}, whose sum is 1, "
                f"received: none of {missing}"
            )
        return super().complete_tensors(asked)

    def checked(self, values):
        stacked = ops.stack([values[n] for n in self.names], -1)
        total = ops.sum(stacked, -1)
        good = (ops.min(stacked, -1) > 0) & (ops.abs(total - 1) < 1e-4)
        worst = ops.argmin(ops.cast(good, "int32"))
        first = self.names[0]
        return {
            **values,
            first: checked(
                values[first],
                ops.all(good),
                f"{self._expected()}, received:",
                *(
                    part
                    for i, n in enumerate(self.names)
                    for part in (f"{n}=", stacked[worst, i])
                ),
            ),
        }

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
                + " ".join(f"{n}={v:g}" for n, v in bad.items())
            )

    def _expected(self):
        return f"expected {', '.join(self.names)} above 0 with a sum of 1"

    def _range(self, name):
        return {"scale": "simplex", "description": "", "low": 0.0, "high": 1.0}

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


def as_joint(parameters):
    """Makes a `JointParameters` of what a model was given.

    Raises:
        InputError: for anything but a dict or a `JointParameters`.
    """
    if isinstance(parameters, dict):
        return Independent(parameters)
    if isinstance(parameters, JointParameters):
        return parameters
    raise InputError(
        "expected loss_parameters to be a dict or a Dirichlet, "
        f"received: loss_parameters={parameters!r}"
    )


def _seed_of_parameter(seed, index):
    """Different numbers for every parameter, also from one whole number."""
    return seed + index if isinstance(seed, int) else seed
