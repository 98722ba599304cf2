"""A number that changes with the train step."""

import math
import numbers

from keras import ops

from yoto_tf.errors import InputError


class Schedule:
    """A number, or a row of them, piecewise linear in the train step.

    Args:
        points: a number; or pairs `(step, value)` with rising steps, counted
            from 0. Between two points the value changes linearly; before the
            first and after the last it stays.

    Call arguments:
        step: number of finished train steps, an int or a scalar tensor;
            None: long after the last point.

    Returns:
        A float, or a float32 scalar tensor.

    Raises:
        InputError: for steps that do not rise or values that are not finite.

    Example:
        warm_up = Schedule([(0, 0.0), (300, 1.0)])
        float(warm_up(150))  # 0.5
    """

    def __init__(self, points):
        if isinstance(points, Schedule):
            points = points.points
        if isinstance(points, numbers.Real) and not isinstance(points, bool):
            points = [(0, points)]
        try:
            self.points = tuple((float(s), float(v)) for s, v in points)
        except (TypeError, ValueError):
            raise InputError(
                "expected a number or pairs of (step, value), "
                f"received: {points!r}"
            ) from None
        steps = [s for s, _ in self.points]
        finite = all(math.isfinite(n) for p in self.points for n in p)
        if not steps or not finite or sorted(set(steps)) != steps:
            raise InputError(
                "expected finite values at rising steps, received: "
                f"{list(self.points)}"
            )

    @property
    def values(self):
        """The values at the points; all others lie between them."""
        return tuple(v for _, v in self.points)

    @property
    def is_constant(self):
        """Whether it is one number at every step."""
        return len(set(self.values)) == 1

    def __call__(self, step=None):
        if step is None or self.is_constant:
            return self.points[-1][1]
        step = ops.cast(step, "float32")
        value = self.points[0][1]
        for (start, low), (end, high) in zip(
            self.points, self.points[1:], strict=False
        ):
            passed = ops.clip((step - start) / (end - start), 0.0, 1.0)
            value = value + (high - low) * passed
        return value

    def get_config(self):
        """As JSON has it: a number, or a list of pairs."""
        if self.is_constant:
            return self.points[-1][1]
        return [list(p) for p in self.points]

    def __eq__(self, other):
        return isinstance(other, Schedule) and (
            self.get_config() == other.get_config()
        )

    def __hash__(self):
        return hash(str(self.get_config()))

    def __repr__(self):
        return f"Schedule({self.get_config()})"
