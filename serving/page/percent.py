"""A loss parameter as people know it: from 0 to 100, evenly in its logarithm.

See `yoto_tf.families.view.Percent`.
"""

import dataclasses

import numpy as np


def shown(view, parameter):
    """The `LossParameter` that a page shows in place of a served one."""
    known = view.percent
    if known is None or parameter.name != known.parameter:
        return parameter
    low, high = parameter.low, parameter.high
    if low == high:
        return parameter
    default = 100 * np.log(parameter.default / low) / np.log(high / low)
    return dataclasses.replace(
        parameter,
        name=known.title,
        trained="from 0 to 100",
        scale="linear",
        description=known.description,
        low=0.0,
        high=100.0,
        default=float(default),
        ranges=((0.0, 100.0),),
    )


def asked(view, parameters, point):
    """The point that a server is asked for.

    Args:
        view: `View`.
        parameters: dict, name -> `LossParameter`, as served.
        point: dict, name of a knob that is shown -> number, or several.
    """
    known = view.percent
    if known is None or known.title not in point:
        return point
    point = dict(point)
    served = parameters[known.parameter]
    place = np.asarray(point.pop(known.title), "float64") / 100
    value = served.low * (served.high / served.low) ** place
    # Rounding leads out of the trained range at its ends.
    value = np.clip(value, served.low, served.high)
    return {**point, known.parameter: value}
