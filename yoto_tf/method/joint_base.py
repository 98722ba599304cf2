"""What all loss parameters of a model together can be asked."""

import keyword
import re

import numpy as np
from keras import ops

from yoto_tf.errors import InputError

# Of a single input of a network, of the signature `loss_parameters`, and what
# TensorFlow takes for a method's.
_TAKEN = ("inputs", "rows", "self")


class JointParameters:
    """What `Independent` and `Dirichlet` share.

    Attributes:
        names: of all parameters, in order.
        varying: of those that vary, which the network is told and a user
            asks for.
        num_coordinates: length of the conditioning vector of one example.
    """

    def sample(self, num, seed, step=None, warps=None):
        """Draws `num` values of each; see `LossParameter.sample`.

        Args:
            num, seed, step: as there.
            warps: dict, name -> its `warp`.

        Returns:
            dict, name -> float32 `(num,)`.
        """
        raise NotImplementedError

    def has_position(self, name):
        """Whether a parameter's draws can follow; see `AdaptiveDraws`."""
        return False

    def coordinates(self, values):
        """Maps a dict of values to what the network is told.

        Args:
            values: dict, name -> `(batch,)`; all names.

        Returns:
            `(batch, num_coordinates)`; where nothing varies, one column of
            zeros: a layer of no inputs is one that TensorFlow's kernels end
            the process over.

        Raises:
            InputError: for a missing or unknown name, or another shape.
        """
        if set(values) != set(self.names):
            raise InputError(
                f"expected values of {sorted(self.names)}, "
                f"received: {sorted(values)}"
            )
        for name in self.names:
            shape = getattr(values[name], "shape", ())
            if len(shape) != 1:
                raise InputError(
                    "expected values of shape (batch,), "
                    f"received: {name} with shape {tuple(shape)}"
                )
        if not self.num_coordinates:
            return ops.zeros_like(values[self.names[0]])[:, None]
        return self._coordinates(values)

    def _coordinates(self, values):
        raise NotImplementedError

    @property
    def coordinate_ends(self):
        """Lowest and highest coordinate of the trained values; None: none."""
        raise NotImplementedError

    def ends_of_each(self):
        """dict, name -> its own `coordinate_ends`, of those that vary and have
        coordinates of their own."""
        return {}

    def watched(self):
        """Returns a few dicts of values to score in validation."""
        raise NotImplementedError

    @property
    def defaults(self):
        """dict, name -> the value where none is asked for."""
        raise NotImplementedError

    def check(self, values):
        """Raises `InputError` for values that were not trained.

        Args:
            values: dict, name -> float64 array; all names.
        """
        raise NotImplementedError

    @property
    def asked(self):
        """Names of those that a served model takes: all that vary, or all
        where none does."""
        return self.varying or self.names

    def trained(self, values):
        """Tells of each of the values whether it was trained, in a graph.

        Args:
            values: dict, name -> float32 tensor; all of one shape.

        Returns:
            dict, name -> bool tensor of that shape; False for NaN.
        """
        raise NotImplementedError

    def facts(self, name):
        """What a client is told of one parameter.

        Returns:
            dict: `name`, `trained` (in words), `scale`, `description`, the
            numbers `low`, `high`, `default`, and the trained values as
            `ranges`, a list of (lowest, highest).
        """
        return {
            "name": name,
            "trained": self.describe(name),
            "default": self.defaults[name],
            **self._range(name),
        }

    def _range(self, name):
        """`scale`, `description`, `low`, `high` and `ranges` of `facts`."""
        raise NotImplementedError

    def describe(self, name):
        """Names the trained values of one parameter in a few words."""
        raise NotImplementedError

    def complete(self, asked):
        """Adds what was not asked for.

        Args:
            asked: dict, name -> number or array; None: nothing.

        Returns:
            dict, name -> float64 array; all names.

        Raises:
            InputError: for an unknown name, or values that were not trained.
        """
        if asked is not None and not isinstance(asked, dict):
            raise InputError(
                "expected loss_parameters to be a dict with names among "
                f"{list(self.varying)}, received: loss_parameters={asked!r}"
            )
        values = self.complete_tensors(asked or {})
        try:
            values = {n: _numbers(v) for n, v in values.items()}
        except (TypeError, ValueError):
            raise InputError(
                "expected loss parameters to be numbers, "
                f"received: loss_parameters={asked!r}"
            ) from None
        self.check(values)
        return values

    def complete_tensors(self, asked):
        """Adds what was not asked for, without a look at the values.

        Args:
            asked: dict, name -> anything.

        Raises:
            InputError: for an unknown name.
        """
        unknown = sorted(set(asked) - set(self.names))
        if unknown:
            raise InputError(
                f"expected loss parameters among {list(self.names)}, "
                f"received: {unknown[0]!r}"
            )
        return {**self.defaults, **asked}

    def _check_lengths(self, values):
        """Raises `InputError` for arrays of different shapes."""
        if len({v.shape for v in values.values()} - {()}) > 1:
            raise InputError(
                f"expected as many values of each of {list(self.names)}, "
                "received: "
                + ", ".join(f"{n}.shape={v.shape}" for n, v in values.items())
            )

    def is_positive(self, name):
        """Whether the weight of a term, a parameter or the constant 1, is
        always above 0."""
        raise NotImplementedError

    def numbers(self, asked):
        """As `complete`, of numbers alone.

        Returns:
            dict, name -> float; all names.
        """
        values = self.complete(asked)
        for name, value in values.items():
            if value.shape != ():
                raise InputError(
                    f"expected {name} as a number, "
                    f"received: {name}.shape={value.shape}"
                )
        return {n: float(v) for n, v in values.items()}

    def contains(self, asked):
        """Whether `complete` takes the values."""
        try:
            self.complete(asked)
        except InputError:
            return False
        return True

    def checked(self, values):
        """Returns tensors, if they were trained; see `assertions.checked`.

        Args:
            values: dict, name -> float32 `(batch,)`; all names.
        """
        raise NotImplementedError

    def label(self, values):
        """Names a dict of numbers by those that vary: `a=1,b=4`."""
        return ",".join(f"{n}={values[n]:g}" for n in self.varying) or "fixed"


def _numbers(given):
    """A float64 array; texts, dates, booleans and None, which NumPy would take
    for numbers, raise a TypeError."""
    found = np.asarray(given)
    if found.dtype.kind == "O":
        # Numbers of several kinds, but nothing else among them.
        strange = str | bytes | bool | np.bool_ | type(None)
        if any(isinstance(v, strange) for v in found.flat):
            raise TypeError
    elif found.dtype.kind not in "iuf":
        raise TypeError
    return found.astype("float64")


def check_names(names):
    """Raises `InputError` for names that no inputs of a signature can have, or
    that one of an export has already."""
    for name in names:
        if (
            not isinstance(name, str)
            or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
            or keyword.iskeyword(name)
            or name in _TAKEN
        ):
            raise InputError(
                "expected names of loss parameters of letters, digits and _, "
                "as inputs of a signature have them, a letter first, no "
                f"keyword of Python and none of {', '.join(_TAKEN)}, "
                f"received: {name!r}"
            )
    if len({name.lower() for name in names}) < len(list(names)):
        raise InputError(
            "expected names of loss parameters that differ in more than "
            f"capitals, received: {sorted(names)}"
        )


def seed_of_parameter(seed, index):
    """Different numbers for every parameter, also from one whole number."""
    return seed + index if isinstance(seed, int) else seed
