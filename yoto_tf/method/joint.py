"""All parameters of a loss, drawn, asked for and told together."""

import numbers

import keras
from keras import ops

from yoto_tf.contract.sentences import number
from yoto_tf.errors import InputError
from yoto_tf.method.assertions import checked
from yoto_tf.method.assertions import first_bad
from yoto_tf.method.base import LossParameter
from yoto_tf.method.joint_base import JointParameters
from yoto_tf.method.joint_base import check_names
from yoto_tf.method.joint_base import seed_of_parameter
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
        check_names(parameters)
        for name, p in parameters.items():
            if not isinstance(p, LossParameter | numbers.Real):
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

    def sample(self, num, seed, step=None, warps=None):
        warps = warps or {}
        return {
            name: p.sample(
                num, seed_of_parameter(seed, i), step, warps.get(name)
            )
            for i, (name, p) in enumerate(self.parameters.items())
        }

    def has_position(self, name):
        return hasattr(self.parameters[name], "position")

    def position(self, name, values):
        return self.parameters[name].position(values)

    def _coordinates(self, values):
        return ops.concatenate(
            [p.coordinate(values[n]) for n, p in self.parameters.items()], -1
        )

    @property
    def coordinate_ends(self):
        ends = self.ends_of_each().values()
        if not ends:
            return None
        return min(low for low, _ in ends), max(high for _, high in ends)

    def ends_of_each(self):
        return {n: self.parameters[n].coordinate_ends for n in self.varying}

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
            ends = [v for v in (p.low, p.high) if v != middle[name]]
            points += [{**middle, name: v} for v in ends]
        return points

    def check(self, values):
        for name, p in self.parameters.items():
            good = p.contains(values[name])
            if not good.all():
                bad = number(values[name][~good].flat[0])
                raise InputError(
                    f"expected {name} {p.describe()}, received: {name}={bad}"
                )

    def checked(self, values):
        good = self.trained(values)
        return {
            name: checked(
                values[name],
                ops.all(good[name]),
                f"expected {name} {p.describe()}, received: {name}=",
                first_bad(values[name], good[name]),
            )
            for name, p in self.parameters.items()
        }

    def trained(self, values):
        return {
            n: p.is_trained(values[n])
            for n, p in self.parameters.items()
            if n in values
        }

    def describe(self, name):
        return self.parameters[name].describe()

    def _range(self, name):
        p = self.parameters[name]
        names = ("scale", "description", "low", "high", "ranges")
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
