"""20 steps of a small model under a strategy, in a process of its own.

    python distributed_steps.py KIND OPTIMIZER OUT [steps] [mixed]

KIND: `alone`, `mirrored:N`, `workers` (of `TF_CONFIG`). OUT gets weights and
logs. Every third batch is not full: 12, 12 and 7 examples.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from training import strategies
from training.distribution import Distribution
from yoto_tf.method.model import LossConditionalModel
from yoto_tf.method.parameters import LogUniform


class Net(LossConditionalModel):
    """Two layers told of two weights, one of which has a term of its own."""

    def __init__(self):
        super().__init__(
            {"size": LogUniform(0.01, 1.0), "slope": LogUniform(0.1, 1.0)},
            seed=1,
        )
        start = keras.initializers.RandomNormal(stddev=0.4, seed=3)
        self.hidden = keras.layers.Dense(5, "tanh", kernel_initializer=start)
        self.last = keras.layers.Dense(1, kernel_initializer=start)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        hidden = self.hidden(ops.concatenate([x, told], -1))
        return self.last(hidden)[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {
            "error": ops.square(outputs - y),
            "size": ops.abs(outputs),
            "slope": ops.square(outputs) * x[:, 0] ** 2,
        }


OPTIMIZERS = {
    # Clips in most of the steps.
    "sgd": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.3),
    "adam": lambda: keras.optimizers.Adam(0.01),
}


def distribution(kind):
    name, _, num = kind.partition(":")
    if name == "mirrored":
        return strategies.mirrored(int(num))
    return Distribution() if name == "alone" else strategies.multi_worker(120)


def twenty_steps(model, data):
    """The logs of 20 steps of a compiled model, in two epochs."""
    return model.fit(
        data.repeat(),
        steps_per_epoch=10,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=data,
    ).history


def main():
    kind, optimizer, out, *more = sys.argv[1:]
    here = distribution(kind)
    keras.config.set_dtype_policy(
        "float64" if optimizer == "sgd" else "float32"
    )
    if "mixed" in more:
        keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(31, 3))
    with here.scope():
        model = Net()
        model.compile(
            OPTIMIZERS[optimizer](),
            metrics=[keras.metrics.R2Score()],
            steps_per_execution=5 if "steps" in more else 1,
        )
    data = tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(12)
    history = twenty_steps(model, data)
    if here.is_chief:
        weights = {f"w{i}": w for i, w in enumerate(model.get_weights())}
        np.savez(out, **weights, **history)
    here.wait_for_all()


if __name__ == "__main__":
    main()
