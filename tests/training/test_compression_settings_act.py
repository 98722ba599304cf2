"""No setting of compression without effect: each of its own is changed, and
what the family makes of it is seen to change, or the change is refused.

Of the settings that all families have, `optimizer` and `training`, the tests
of the other families tell.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from compression_models import photo
from PIL import Image
from test_settings_act import OTHERS
from test_settings_act import choices
from test_settings_act import leaves
from test_settings_act import same

from yoto_tf.data import tfds_images
from yoto_tf.errors import InputError
from yoto_tf.families import all_presets
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.strict_config import with_settings

TRIED = {
    "family": ["not_here"],
    "data.name": ["{folder}/other"],
    "data.data_dir": ["elsewhere"],
    "data.crop_size": [128],
    "data.cell_size": [128],
    "data.crops_per_cell": [5],
    "data.train_pictures": [2],
    "data.validation_pictures": [2],
    "data.test_pictures": [3],
    "data.split_seed": [1],
    "model.channels": [3],
    "model.latents": [5],
    "model.distortion": OTHERS,
    "model.quantization": OTHERS,
    "model.conditioning.kind": OTHERS,
    "model.conditioning.sites": [("latent",), ("analysis", "hyper")],
    "model.conditioning.knots": [4],
    "model.conditioning.hidden_units": [6],
    "model.conditioning.strength": [0.3],
    "model.conditioning.gain_exponent": [0.4],
    "parameter.name": ["other"],
    "parameter.distribution": OTHERS,
    "parameter.low": [0.001],
    "parameter.high": [0.2],
    "parameter.values": [(0.01,)],
    "parameter.description": ["Another."],
    "objective.normalization": OTHERS,
    "objective.normalization_power": [0.3],
    "evaluation.lambdas": [(0.01, 0.02)],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    for place, first in ((path / "one", 0), (path / "other", 10)):
        place.mkdir()
        for i in range(8):
            pixels = photo(128, 192, first + i)
            Image.fromarray(pixels).save(place / f"{i}.png")
    return path


def small(config, folder):
    return with_settings(
        config,
        {
            "data.name": str(folder / "one"),
            "data.crop_size": 64,
            "data.cell_size": 64,
            "data.crops_per_cell": 2,
            "data.validation_pictures": 1,
            "data.test_pictures": 2,
            "data.train_pictures": "unset",
            "model.channels": 2,
            "model.latents": 3,
        },
    )


def data_of(config):
    family = family_for(config)
    splits = family.load(config)
    batch = next(iter(family.training_batches(config, splits, 4, 0)))
    parts = [splits.train.x, splits.validation, splits.test]
    return {
        "parts": [p.sum() for p in parts],
        "sizes": [len(splits.train), *(p.shape for p in parts)],
        "batch": batch.numpy(),
    }


def model_of(config):
    """Two pictures' answers, of weights that all count, and the loss."""
    keras.utils.set_random_seed(0)
    model = family_for(config).model(config, None)
    pictures = np.stack([photo(64, 64, seed) for seed in range(2)])
    lmbda = np.float32([0.004, 0.15])
    if not model.loss_parameters.varying:
        lmbda = np.float32(2 * [model.lambda_ends[0]])
    model(pictures[:1], {"lmbda": lmbda[:1]})
    for weight in model.trainable_variables:
        rng = np.random.default_rng(weight.shape[-1])
        weight.assign(weight + rng.normal(size=weight.shape, scale=0.1))
    outputs = model(pictures, {"lmbda": lmbda})
    told = {"lmbda": tf.constant(lmbda)}
    trained = model.run(pictures, told, training=True)
    terms = model.loss_terms(pictures, None, outputs, {"lmbda": lmbda})
    return {
        "loss": model.objective(terms, {"lmbda": lmbda}),
        "weights": [w.shape for w in model.weights],
        "trained": [trained["image"], trained["bits"]],
        "facts": str(model.loss_parameters.facts("lmbda")),
        **outputs,
    }


def grid_of(config):
    return str(family_for(config).grid(config))


PARTS = {
    "": model_of,
    "data": data_of,
    "model": model_of,
    "parameter": model_of,
    "objective": model_of,
    "evaluation": grid_of,
}


@pytest.mark.parametrize("name", ["compression", *all_presets("compression")])
def test_the_rules_are_of_all_settings(name):
    config = get_preset(name).config
    own = {
        ".".join(map(str, path))
        for path, _, _ in leaves(config)
        if path[0] not in ("optimizer", "training")
    }
    assert own == set(TRIED)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spline", "film", "constant"])
def test_each_setting_changes_what_is_made_or_is_refused(
    kind, folder, monkeypatch
):
    monkeypatch.setattr(tfds_images, "is_known", lambda name: False)
    config = small(get_preset("compression").config, folder)
    if kind == "film":
        config = with_settings(
            config,
            {
                "model.conditioning.kind": "film",
                "model.conditioning.sites": ("latent", "synthesis"),
                "objective.normalization": "sum",
            },
        )
    if kind == "constant":
        family = family_for(config)
        config = with_settings(config, family.fixed(config, {"lmbda": 0.02}))
    before = {}
    idle = []
    for path, owner, value in leaves(config):
        dotted = ".".join(map(str, path))
        if dotted not in TRIED:
            continue
        make = PARTS[path[0] if len(path) > 1 else ""]
        if make not in before:
            before[make] = make(config)
        tried = TRIED[dotted]
        if tried is OTHERS:
            tried = [c for c in choices(owner, path[-1]) if c != value]
        tried = [
            v.format(folder=folder) if isinstance(v, str) else v for v in tried
        ]
        for other in tried:
            try:
                changed = make(with_settings(config, {dotted: other}))
            except InputError:
                continue
            if same(changed, before[make]):
                idle.append((dotted, other))
    # A network that is told nothing has no layers to be told by.
    if kind == "constant":
        idle = [n for n in idle if not n[0].startswith("model.conditioning")]
        # Where one value alone is drawn, it is scored.
        idle = [n for n in idle if n[0] != "evaluation.lambdas"]
    assert idle == []
