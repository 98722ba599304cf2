"""Draws some values more often than others, as the train step has it."""

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method.base import LossParameter
from yoto_tf.method.base import to_number
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.schedule import Schedule


@keras.saving.register_keras_serializable("yoto_tf")
class Mixture(LossParameter):
    """Draws of `base`, some of which come from other distributions instead.

    A curriculum is a mixture whose shares change with the train step. What
    the network is told and what counts as trained are those of `base`.

    Args:
        base: `LossParameter` from which the rest of the draws comes.
        shares: pairs `(share, distribution)`: so many of all draws come from
            a distribution over a part of `base`'s range; the share is a
            number, or the points of a `Schedule`, between 0 and 1. Their sum
            is at most 1 at every step.

    Example:
        # Half of the draws lie within a factor of sqrt(2) of 1.
        wide = LogUniform(0.125, 512.0)
        Mixture(wide, [(0.5, near(wide, 1.0, octaves=1))])
    """

    def __init__(self, base, shares, *, default=None, description=""):
        if not isinstance(base, LossParameter):
            raise InputError(
                f"expected base as a LossParameter, received: base={base!r}"
            )
        try:
            pairs = [(s, part) for s, part in shares]
        except (TypeError, ValueError):
            pairs = [(shares, None)]
        if not all(isinstance(part, LossParameter) for _, part in pairs):
            raise InputError(
                "expected shares as pairs (share, LossParameter), received: "
                f"shares={shares!r}"
            )
        self.base = base
        self.shares = [(Schedule(s), part) for s, part in pairs]
        if not self.shares:
            raise InputError("expected one or more shares, received: none")
        self._check_parts()
        self._check_sum()
        self.scale = base.scale
        self.num_coordinates = base.num_coordinates
        super().__init__(default, description or base.description)

    def _check_parts(self):
        low, high = self.base.intervals().T
        for _, part in self.shares:
            if not all(
                ((low <= start) & (end <= high)).any()
                for start, end in part._ranges()
            ):
                raise InputError(
                    f"expected parts of the range {self.base.describe()}, "
                    f"received: one {part.describe()}"
                )

    def _check_sum(self):
        # The sum is piecewise linear: it is largest at a point of one.
        steps = {s for share, _ in self.shares for s, _ in share.points}
        for step in sorted(steps):
            values = [float(share(step)) for share, _ in self.shares]
            if min(values) < 0 or sum(values) > 1 + 1e-6:
                raise InputError(
                    "expected shares between 0 and 1 whose sum is at most 1, "
                    f"received: {values} at step {step:g}"
                )

    @property
    def default(self):
        return self.base.default if self._default is None else self._default

    def quantile(self, uniform, step=None):
        # One number says both which part it is and where in it.
        drawn = None
        start = ops.zeros((), uniform.dtype)
        for share, part in self.shares:
            size = ops.cast(share(step), uniform.dtype)
            inside = (uniform - start) / ops.maximum(size, 1e-6)
            values = part.quantile(ops.clip(inside, 0.0, 1.0), step)
            drawn = (
                values
                if drawn is None
                else ops.where(uniform < start, drawn, values)
            )
            start = start + size
        rest = (uniform - start) / ops.maximum(1 - start, 1e-6)
        others = self.base.quantile(ops.clip(rest, 0.0, 1.0), step)
        return ops.where(uniform < start, drawn, others)

    def grid(self, num):
        return self.base.grid(num)

    def _ranges(self):
        return self.base._ranges()

    def coordinate(self, values):
        return self.base.coordinate(values)

    def describe(self):
        return self.base.describe()

    def get_config(self):
        return {
            "base": keras.saving.serialize_keras_object(self.base),
            "shares": [
                [s.get_config(), keras.saving.serialize_keras_object(part)]
                for s, part in self.shares
            ],
            **super().get_config(),
        }

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        shares = [
            (share, part if isinstance(part, LossParameter) else load(part))
            for share, part in config["shares"]
        ]
        base = config["base"]
        if not isinstance(base, LossParameter):
            base = load(base)
        return cls(**{**config, "base": base, "shares": shares})


def near(wide, center, octaves):
    """The part of a `LogUniform` within `octaves` / 2 factors of 2 of a value.

    Args:
        wide: the `LogUniform`; the part is cut off at its ends.
        center: in its range.
        octaves: width of the part, in factors of 2.

    Returns:
        A `LogUniform`.

    Example:
        near(LogUniform(0.125, 512.0), 4.0, octaves=2)  # from 2 to 8
    """
    if not isinstance(wide, LogUniform):
        raise InputError(f"expected a LogUniform, received: wide={wide!r}")
    center = to_number("center", center)
    octaves = to_number("octaves", octaves)
    if not wide.contains(center):
        raise InputError(
            f"expected a center {wide.describe()}, received: center={center}"
        )
    half = octaves * np.log(2) / 2
    return LogUniform(
        max(wide.low, center * np.exp(-half)),
        min(wide.high, center * np.exp(half)),
    )
