"""The trained models that come with the library."""

import json
import pathlib

import keras
import numpy as np
import pytest

import yoto_tf
from yoto_tf import released
from yoto_tf import strict_config
from yoto_tf.errors import InputError
from yoto_tf.families import DEFAULT
from yoto_tf.families import get_family
from yoto_tf.families import get_preset
from yoto_tf.strict_config import with_settings

NAMES = released.names()
PHOTOGRAPHS = pathlib.Path(__file__).parents[3] / "shared/photos/train"


def points(family, curve):
    return [{n: row[n] for n in family.parameters} for row in curve]


def test_there_is_the_default():
    assert "rendered_shapes3d" in NAMES


@pytest.mark.skipif("compression" not in NAMES, reason="not released")
def test_a_codec_is_loaded_without_a_word():
    from yoto_tf.compression import Codec

    run = released.run("compression")
    codec = Codec.load()
    pixels = np.load(run.examples_file)["inputs"][1, :100, :150]
    found = {}
    for quality in (10, 90):
        data = codec.compress(pixels, quality)
        made = codec.decompress(data).astype("float64")
        found[quality] = len(data), np.square(made - pixels).mean()
        # It was trained: one grey would be off by the variance.
        assert found[quality][1] < np.var(pixels) / 2
    assert found[10][0] < found[90][0]
    assert found[10][1] > found[90][1]


@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_is_one_of_its_preset_and_has_a_card(name):
    run = released.run(name)
    config = run.read_config()
    card = (run.path / released.CARD).read_text()
    preset = get_preset(name, config.family).config
    for dotted in strict_config.differences(config, preset):
        group, _, setting = dotted.partition(".")
        assert group in ("data", "training", "optimizer")
        assert f"{dotted} = {config.to_dict()[group][setting]}" in card
    form = get_family(config.family).objective.form
    for row in run.read_curve():
        assert f"| {format(row['full_loss'], form)} ±" in card
    for word in ("Data", "Training", "Curve", "Limits", "Licence"):
        assert f"**{word}" in card
    assert sum(p.stat().st_size for p in run.path.iterdir()) < 6e6


@pytest.mark.parametrize(
    "name",
    [
        # Of `compression`, the codec above answers quickly.
        pytest.param(n, marks=pytest.mark.slow if n != DEFAULT else ())
        for n in NAMES
    ],
)
def test_a_released_model_scores_its_examples_about_as_its_curve(name):
    """Some of the test split: within four standard errors of theirs; new
    weights are off by hundreds of them."""
    run = released.run(name)
    inputs = np.load(run.examples_file)["inputs"]
    curve = run.read_curve()[::4]
    family = run.family()
    rows = family.score(run.load_model(), inputs, points(family, curve))
    for row, of_all in zip(rows, curve, strict=True):
        assert row["full_loss"] == pytest.approx(
            of_all["full_loss"], abs=4 * row["full_loss_se"]
        )


def test_a_preset_is_built_with_trained_weights():
    run = released.run("rendered_shapes3d")
    images = np.load(run.examples_file)["inputs"]
    model = yoto_tf.ConditionalVAE.from_preset(
        "rendered_shapes3d", weights="trained", seed=3
    )
    expected = run.load_model().reconstruct(images, 16.0)
    np.testing.assert_array_equal(model.reconstruct(images, 16.0), expected)
    # It is one's own: it trains on, and its class may be another.
    model.compile("sgd")
    model.fit(images, verbose=0)

    class Own(yoto_tf.ConditionalVAE):
        pass

    mine = Own.from_preset("rendered_shapes3d", weights="trained")
    assert type(mine) is Own
    np.testing.assert_array_equal(mine.reconstruct(images, 16.0), expected)


def test_trained_weights_have_the_policy_that_new_ones_would_have():
    run = released.run("cifar10")
    images = np.load(run.examples_file)["inputs"][:8]
    expected = run.load_model().reconstruct(images, 16.0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = yoto_tf.ConditionalVAE.from_preset("cifar10", weights="trained")
    finally:
        keras.config.set_dtype_policy(before)
    assert model.dtype_policy.name == "mixed_bfloat16"
    # A few of bfloat16's roundings of a probability (2**-8 of it).
    reconstructed = np.asarray(model.reconstruct(images, 16.0), "float32")
    error = np.abs(reconstructed - expected)
    assert 0 < error.mean() < 0.01


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "smoke", "weights": "trained"}, "trained weights, one of"),
        (
            {"name": "compression", "weights": "trained"},
            "preset of ConditionalVAE.*'compression', weights of a Compression",
        ),
        ({"weights": "imagenet"}, "weights='trained'.*'imagenet'"),
        ({"weights": "trained", "width": 2}, "without other settings.*width"),
    ],
)
def test_weights_that_there_are_not_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        yoto_tf.ConditionalVAE.from_preset(
            **{"name": "rendered_shapes3d", **given}
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_has_the_curve_of_its_card(name, request):
    run = released.run(name)
    config = run.read_config()
    family = run.family()
    if name == "cifar10":
        folder = request.getfixturevalue("cifar10_dir")
        config = with_settings(config, {"data.data_dir": str(folder)})
    elif "rendered" not in name:
        # A folder of this name may hold other pictures.
        if not PHOTOGRAPHS.is_dir():
            pytest.skip(f"{config.data.name} does not come with the library")
        config = with_settings(config, {"data.name": str(PHOTOGRAPHS)})
    test = family.load(config, ("test",)).test
    curve = run.read_curve()[::4]
    facts = json.loads(run.evaluation_file.read_text())
    assert len(test) == facts["num_examples"]
    rows = family.score(run.load_model(), test, points(family, curve))
    # Another processor may round a latent to another whole number.
    share = 1e-3 if name == "compression" else 2e-4
    for row, kept in zip(rows, curve, strict=True):
        for key in ("distortion", "rate", "full_loss"):
            assert row[key] == pytest.approx(kept[key], rel=share, abs=2e-3)
