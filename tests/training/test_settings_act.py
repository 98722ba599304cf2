"""No setting without effect: each setting of each preset is changed, and the
run is seen to change, or the change is refused.

A run is what `training.train` hands to `fit` and what the model is made of:
images, batches, the optimizer's updates, callbacks; weights, outputs, draws and
loss. A new setting without a rule here fails.
"""

import contextlib
import dataclasses
import functools
import types
import typing
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import yoto_tf.data
from training import evaluate as evaluate_module
from training import test_split
from training import train as train_module
from yoto_tf.data import tfds_images
from yoto_tf.errors import InputError
from yoto_tf.families import all_presets
from yoto_tf.families import get_family
from yoto_tf.families import get_preset
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.family import VaeFamily
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.parameter_config import ParameterConfig
from yoto_tf.strict_config import Config

# Where the test's small stand-in has other sizes than the preset.
SIZES = {"latent_size": 3, "base_channels": 2, "dense_units": 8}

UNTOLD = ModelConfig(
    latent_size=2,
    base_channels=1,
    convs_per_block=1,
    dense_units=1,
    conditioning=ConditioningConfig(kind="none"),
)

# Steps at which the presets' schedules differ.
STEPS = (0, 149.5, 150, 800, 9000)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """Small images that differ by their data set, folder, split and place."""

    class Source:
        version = "1.0.0"

        def __init__(self, name, data_dir):
            self.key = f"{name} {data_dir}"
            self.splits = {"train": 200, "test": 60}
            if "shapes3d" in name:
                del self.splits["test"]

        def native_size(self):
            return 128

        def load(self, wanted, size):
            return {s: self._images(s, i, size) for s, i in wanted.items()}

        def _images(self, split, places, size):
            first = zlib.crc32(f"{self.key} {split}".encode()) % 1000
            rng = np.random.default_rng(first)
            images = rng.integers(0, 256, (200, 4, 4, 3), "uint8")[places]
            return images.repeat(size // 4, 1).repeat(size // 4, 2)

    monkeypatch.setattr(tfds_images, "TfdsImages", Source)


# What is looked at.


class Recorder:
    """Stands where the model stands in `train`, and keeps what it is given."""

    built = is_adapted = True

    def __init__(self, *arguments, seed, loss_parameters=None):
        self.arguments, self.seed = arguments, seed
        self.dtype = keras.config.dtype_policy().name
        self.further = sorted(loss_parameters or ())
        self.random = keras.random.normal((3,))
        self.beta_range = types.SimpleNamespace(grid=lambda num: [1.0, 2.0])

    def count_params(self):
        return 0

    def compile(self, optimizer, jit_compile):
        self.optimizer, self.jit_compile = optimizer, jit_compile

    def note_run_length(self, steps):
        self.steps = steps

    def fit(self, x, **given):
        self.batches, self.given = x, given

    def save(self, path):
        path.touch()


def run(config, folder):
    """All that `train` decides outside of the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VaeFamily, "register", lambda family: Recorder)
        model, _ = train_module.train(config, folder, log=lambda said: None)
    given = model.given
    total = given["epochs"] * given["steps_per_epoch"]
    pictures = [
        (c.every, c.grid)
        for c in given["callbacks"]
        if type(c).__name__ == "Pictures"
    ]
    return {
        "model": [repr(a) for a in [*model.arguments[4:], model.further]],
        "shape": model.arguments[0],
        "seed": [model.seed, model.random],
        "dtype": model.dtype,
        "jit_compile": model.jit_compile,
        "epochs": [given["epochs"], given["steps_per_epoch"]],
        "batches": list(model.batches.take(2)),
        "validation": list(given["validation_data"] or ()),
        "pictures": [repr(p) for p in pictures],
        "optimizer": updates(model.optimizer, total),
    }


def updates(optimizer, total):
    """The rate over the run, and a variable after an outlier in it."""
    rate = optimizer._learning_rate
    steps = [0, 2, 7, 15, 25, *(total * f // 10 for f in range(1, 10)), total]
    rates = [rate(s) if callable(rate) else rate for s in steps]
    variable = keras.Variable([1.0, 2.0])
    optimizer.build([variable])
    optimizer.iterations.assign(total // 4)
    for gradient in (0.1, 0.2, 20.0, 0.1):
        optimizer.apply([tf.constant([gradient, gradient / 3])], [variable])
    # The learning rates are small.
    return [rates, (variable - [1.0, 2.0]) / np.max(rates)]


def scored(config, _):
    """The images and betas that `training.evaluate` takes."""
    found = {}

    class Stop(Exception):
        pass

    def score(family, model, images, grid, *rest):
        found["grid"] = repr(grid)
        raise Stop

    images = yoto_tf.data.load_images(config.data)
    stub = types.SimpleNamespace(
        read_config=lambda: config,
        load_model=lambda: _model(config),
        family=lambda: get_family(config.family),
    )
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Stop):
        patch.setattr(VaeFamily, "score", score)
        patch.setattr(
            test_split, "load_test_split", lambda *_: (images.test, {})
        )
        evaluate_module.evaluate(stub, ())
    return {**found, "test": images.test, "validation": images.validation}


def _model(config):
    keras.utils.set_random_seed(config.training.seed)
    splits = types.SimpleNamespace(example_shape=(32, 32, 3))
    return get_family(config.family).model(config, splits)


def network(config, _):
    """The model's weights, and what it answers with others than the first,
    which let nothing through."""
    model = _model(config)
    first = [w.numpy() for w in model.weights]
    for weight in model.trainable_variables:
        rng = np.random.default_rng(weight.shape[-1])
        weight.assign(rng.normal(size=weight.shape, scale=0.3))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")
    asked = {"beta": tf.constant([2.0, 100.0])}
    noise = np.zeros((2, config.model.latent_size), "float32")
    return {"first": first, **model(images, asked, noise=noise)}


def loss(config, _):
    """What the model draws, and what it makes of two terms, over the steps."""
    # By no network: a small one.
    model = _model(dataclasses.replace(config, model=UNTOLD))
    asked = {"beta": tf.constant([2.0, 100.0])}
    mean = tf.constant([[0.1, 1.0], [0.01, 3.0]])
    found = {}
    for step in STEPS:
        with tf.GradientTape() as tape:
            tape.watch(mean)
            outputs = {"mean": mean, "stddev": tf.fill((2, 2), 0.9)}
            terms = {"distortion": tf.constant([2000.0, 2000.0])}
            terms["rate"] = tf.reduce_sum(mean**2, -1)
            terms = model.training_terms(terms, outputs, asked, step)
            warmed = model.objective.warmed(terms, step, 1000)
            value = model.objective(warmed, asked)
        draws = model.sample_loss_parameters(16, step)
        model._follow(asked, terms)
        found[step] = [list(draws.values()), value, tape.gradient(value, mean)]
    return found


# The rules: what is tried in place of a value, and where that must be seen.

OTHERS = object()  # every other one of the choices


@dataclasses.dataclass(frozen=True)
class Rule:
    """What to try, one after the other, and where it must show."""

    tried: object
    parts: tuple


def rules(part, **tried):
    parts = part if isinstance(part, tuple) else (part,)
    return {name: Rule(values, parts) for name, values in tried.items()}


RULES = {
    "": rules(
        (run, loss),
        family=["not_here"],
        further=[(ParameterConfig(name="c").to_dict(),)],
    ),
    "data": rules(
        (run, scored),
        name=["another"],
        data_dir=["elsewhere"],
        image_size=[32, 64],
        train_examples=[7],
        validation_examples=[3],
        test_examples=[5],
        split_seed=[1],
        augmentation=OTHERS,
    ),
    "model": rules(
        network,
        likelihood=OTHERS,
        posterior=OTHERS,
        initial_variance=[0.3, None],
        latent_size=[4],
        width=[2],
        base_channels=[3],
        convs_per_block=[3],
        dense_units=[9],
        kernel_init=OTHERS,
    ),
    "model.conditioning": rules(
        network,
        kind=OTHERS,
        sites=[("dense",), ("latent", "block"), ("conv", "output")],
        largest_map=[4, None],
        knots=[4],
        hidden_units=[6],
        strength=[0.3],
        standardize=[False, True],
    ),
    "beta": rules(
        loss,
        distribution=OTHERS,
        low=[0.6],
        high=[600.0],
        adaptive=[0.5, 0.0],
        values=[(3.0,)],
    ),
    "objective": rules(
        loss,
        normalization=OTHERS,
        normalization_power=[0.7],
        warm_up=[0.3, 0.0],
        group_size=[4, None],
    ),
    "optimizer": rules(
        run,
        learning_rate=[0.02],
        schedule=OTHERS,
        warmup_steps=[10],
        decay_share=[0.25],
        halve_at=[(10, 20)],
        weight_decay=[10.0],
        beta_2=[0.9],
        epsilon=[0.1],
        clip_norm=[0.05],
        clip_ratio=[2.0, None],
    ),
    "training": rules(
        run,
        epochs=[3],
        steps=[50],
        batch_size=[7],
        seed=[1],
        dtype=OTHERS,
        jit_compile=[True],
        pictures_every=[0, 2],
    ),
    "evaluation": rules(
        (run, scored), betas=[(2.0, 3.0)], watched_betas=[(2.0, 3.0)]
    ),
}


def leaves(config, path=()):
    """`(path, class, value)` of every setting; parts are counted."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        here = (*path, f.name)
        if isinstance(value, Config):
            yield from leaves(value, here)
            continue
        yield here, type(config), value
        for i, part in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(part, Config):
                yield from leaves(part, (*here, i))


def rule_of(path):
    group = ".".join(n for n in path[:-1] if isinstance(n, str))
    return RULES[group][path[-1]]


def choices(owner, name):
    """The values of the `Literal` that a setting is."""
    hint = typing.get_type_hints(owner)[name]
    hints = [hint, *typing.get_args(hint)]
    (literal,) = [h for h in hints if typing.get_origin(h) is typing.Literal]
    return typing.get_args(literal)


def changed(config, path, value):
    values = config.to_dict()
    *groups, last = path
    place = functools.reduce(lambda v, key: v[key], groups, values)
    place[last] = value
    return ExperimentConfig.from_dict(values)


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[k], other[k]) for k in one
        )
    if isinstance(one, list | tuple) and not all(
        isinstance(n, int | float) for n in one
    ):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, str | bool | None):
        return one == other
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(
        one.astype("float64"), other.astype("float64"), 1e-5, 1e-7
    )


def small(config):
    model = dataclasses.replace(config.model, **SIZES)
    data = dataclasses.replace(
        config.data,
        train_examples=config.data.train_examples and 100,
        test_examples=config.data.test_examples and 20,
    )
    return dataclasses.replace(config, model=model, data=data)


@pytest.mark.slow
@pytest.mark.parametrize("name", all_presets("vae"))
def test_each_setting_changes_the_run_or_is_refused(name, tmp_path):
    config = small(get_preset(name).config)
    count = iter(range(1000))

    def look(part, config):
        return part(config, tmp_path / str(next(count)))

    base = {part: look(part, config) for part in (run, scored, network, loss)}
    for part, found in base.items():
        # What is seen below is not noise.
        assert same(found, look(part, config)), part.__name__
    unseen, refused = [], []
    for path, owner, value in leaves(config):
        rule = rule_of(path)
        tried = rule.tried
        if tried is OTHERS:
            tried = choices(owner, path[-1])
        dotted = ".".join(map(str, path))
        tried = [t for t in tried if t != value]
        assert tried, dotted
        for other in tried:
            try:
                new = changed(config, path, other)
                if all(same(look(p, new), base[p]) for p in rule.parts):
                    unseen.append(f"{dotted}: {value!r} -> {other!r}")
            except InputError as error:
                if path[-1] not in str(error):
                    raise
                refused.append(f"{dotted}={other!r}: {error}")
    assert unseen == []
    print(*refused, sep="\n")


def test_every_setting_has_a_rule_and_every_rule_a_setting():
    found = {}
    for path, *_ in leaves(ExperimentConfig()):
        group = ".".join(n for n in path[:-1] if isinstance(n, str))
        found.setdefault(group, set()).add(path[-1])
    assert found == {group: set(names) for group, names in RULES.items()}
