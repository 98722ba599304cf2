"""Steps of one model of each family, on one device and on several of this
process, which divides the processor.

    python families_on_replicas.py KIND POLICY OPTIMIZER NUM [jit] [steps]

KIND: of `KINDS`. OPTIMIZER: `sgd` or `adam`. NUM: of the devices. Prints JSON:
how far one device moved the weights, how far it and several are apart, and the
logs of both. Every third batch is not full: 24, 24 and 7 examples.
"""

import contextlib
import dataclasses
import json
import math
import sys

import keras
import numpy as np
import tensorflow as tf
from distributed_steps import twenty_steps
from own_model import TCVAE

from yoto_tf import BetaConfig
from yoto_tf import LogUniform
from yoto_tf import ModelConfig
from yoto_tf import ObjectiveConfig
from yoto_tf.examples import Examples
from yoto_tf.examples import Splits
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.optimizers import FusedAdam

RNG = np.random.default_rng(0)
NUM, BATCH = 55, 24
SMALL = {
    "latent_size": 3,
    "base_channels": 2,
    "convs_per_block": 1,
    "dense_units": 6,
}


def pictures(size, num=NUM):
    return Examples(RNG.integers(0, 256, (num, size, size, 3), "uint8"))


def vae(kind):
    config = get_preset("smoke").config
    model = dataclasses.replace(config.model, **SMALL)
    # What is learned of the draws is float32.
    beta = dataclasses.replace(config.beta, adaptive=0.0)
    config = dataclasses.replace(config, model=model, beta=beta)
    return of_family(config, pictures(32))


def with_total_correlation(kind):
    # Whole groups of eight.
    examples = pictures(32, NUM + 1)
    return examples, lambda: TCVAE(
        (32, 32, 3),
        ModelConfig(**SMALL),
        BetaConfig(adaptive=0.0),
        # Three on two replicas.
        ObjectiveConfig(group_size=8),
        loss_parameters={"tc": LogUniform(0.1, 10.0)},
        seed=1,
    )


def compression(kind):
    return of_family(get_preset("compression_smoke").config, pictures(64))


def table(kind):
    config = get_preset(kind).config
    x = RNG.normal(size=(NUM, 4)).astype("float32")
    y = (x[:, 0] + RNG.normal(size=NUM) > 0).astype("float32")
    if config.task == "quantile":
        y = x[:, 1] + RNG.normal(size=NUM).astype("float32")
    model = dataclasses.replace(config.model, depth=1, hidden_units=6)
    return of_family(dataclasses.replace(config, model=model), Examples(x, y))


def of_family(config, examples):
    splits = Splits(examples, examples[:0], examples)
    family = family_for(config)
    return examples, lambda: family.model(config, splits)


KINDS = {
    "vae": vae,
    "total_correlation": with_total_correlation,
    "compression": compression,
    "credit_cost": table,
    "visits_quantile": table,
}


def optimizer(name, policy):
    if name != "sgd":
        # Clips by what it remembers.
        return FusedAdam(1e-2, clip_ratio=1.05, weight_decay=0.1)
    # Clips in most of the steps.
    found = keras.optimizers.SGD(1e-3, global_clipnorm=0.5)
    if policy == "mixed_float16":
        # From Keras' 32768 the first steps overflow and are left out: as many
        # more on one device as its gradients are larger than a replica's.
        found = keras.optimizers.LossScaleOptimizer(found, initial_scale=64)
    return found


def trained(make, examples, scope, **options):
    """The weights before, those after 20 steps, and the logs."""
    keras.utils.set_random_seed(0)
    with scope:
        model = make()
        if not model.built:
            model(examples.x[:1])
        model.compile(optimizer(*options.pop("optimizer")), **options)
    first = numbers(model)
    data = tf.data.Dataset.from_tensor_slices(
        examples.x if examples.y is None else examples.arrays
    ).batch(BATCH)
    logs = twenty_steps(model, data)
    return first, numbers(model), logs


def numbers(model):
    return [v.numpy().astype("float64") for v in model.trainable_variables]


def norm(some, others):
    return math.sqrt(
        sum(np.sum((a - b) ** 2) for a, b in zip(some, others, strict=True))
    )


def main():
    kind, policy, chosen, num, *more = sys.argv[1:]
    num = int(num)
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * num,
    )
    keras.config.set_dtype_policy(policy)
    options = {"optimizer": (chosen, policy), "jit_compile": "jit" in more}
    if "steps" in more:
        options["steps_per_execution"] = 5
    examples, make = KINDS[kind](kind)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(num)])
    first, one, logs = trained(
        make, examples, contextlib.nullcontext(), **options
    )
    _, several, others = trained(make, examples, strategy.scope(), **options)
    result = {
        "moved": norm(one, first),
        "apart": norm(one, several),
        "most": max(
            np.abs(a - b).max() for a, b in zip(one, several, strict=True)
        ),
        "logs": [logs, others],
    }
    print(json.dumps(result, default=float))


if __name__ == "__main__":
    main()
