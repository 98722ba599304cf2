"""What a model says of itself, the same whatever it is asked."""

import numpy as np
import tensorflow as tf

from yoto_tf import endpoint

_TEXTS = ("name", "trained", "scale", "description")


def loss_parameters_endpoint(model):
    """What may be asked for; a client needs nothing else.

    For each of `rows` the same: for every loss parameter, in the order of
    `JointParameters.asked`, what `JointParameters.facts` says. `ranges`,
    `(rows, parameters, n, 2)`, are the trained values as closed intervals,
    of which a parameter with fewer than the others repeats its last.
    """
    joint = model.loss_parameters
    facts = [joint.facts(n) for n in joint.asked]
    texts = {n: [f[n] for f in facts] for n in _TEXTS}
    numbers = {n: [f[n] for f in facts] for n in ("low", "high", "default")}
    most = max(len(f["ranges"]) for f in facts)
    numbers["ranges"] = [
        [*f["ranges"], *[f["ranges"][-1]] * (most - len(f["ranges"]))]
        for f in facts
    ]

    return constants_endpoint(
        "loss_parameters",
        {
            **{n: np.array(v, object) for n, v in texts.items()},
            **{n: np.array(v, "float32") for n, v in numbers.items()},
        },
    )


def constants_endpoint(name, values):
    """What a model says of itself, for each of `rows` the same.

    Args:
        name: of the signature.
        values: dict, name of an output -> array.
    """

    def function(rows):
        num = tf.shape(rows)[:1]
        return {
            n: tf.tile(tf.constant(v)[None], tf.concat([num, [1] * v.ndim], 0))
            for n, v in values.items()
        }

    def reference(rows):
        return {n: np.stack([v] * len(rows)) for n, v in values.items()}

    return endpoint.Endpoint(
        name=name,
        inputs=[tf.TensorSpec((None,), tf.int32, "rows")],
        function=function,
        reference=reference,
        # What they are is not looked at.
        example=lambda rows, seed: {
            "rows": np.arange(rows, dtype="int32") * (seed is not None)
        },
    )
