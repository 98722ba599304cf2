"""Conditioning layers and likelihoods of a user's own, by name, by place and
by object."""

import importlib
import json

import keras
import numpy as np
import own_classes
import pytest

import yoto_tf
from yoto_tf.errors import InputError
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.model.likelihoods import Gaussian
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.families.vae.registry import LIKELIHOODS
from yoto_tf.layers import FiLM
from yoto_tf.layers import Gate
from yoto_tf.layers.factory import make_conditioning
from yoto_tf.registry import CONDITIONING


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    own_classes.write(folder, "mine_a")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("mine_a")


def test_every_way_to_say_it_is_kept_as_one_text(mine):
    place = "mine_a:Scale"
    for given, kept in (
        (mine.Scale, place),
        ("scale_mine_a", place),
        (place, place),
        (f" {place}(slope = 2.0)", f"{place}(slope=2.0)"),
        ("scale_mine_a(slope=2.0)", f"{place}(slope=2.0)"),
        (mine.Scale(slope=2.0), f"{place}(slope=2.0)"),
        (FiLM, "film"),
        (
            Gate("sqrt"),
            "yoto_tf.layers.conditioning:Gate(form='sqrt')",
        ),
        ("none", "none"),
    ):
        assert ConditioningConfig(kind=given).kind == kept
    for given, kept in (
        ("laplace_mine_a", "mine_a:Laplace"),
        (mine.Laplace(0.2), "mine_a:Laplace(width=0.2)"),
        (Gaussian(), "yoto_tf.families.vae.model.likelihoods:Gaussian"),
        (Gaussian, "gaussian"),
    ):
        assert ModelConfig(likelihood=given).likelihood == kept


def test_it_survives_json_and_makes_the_layer_with_its_arguments(mine):
    config = ExperimentConfig(
        model=ModelConfig(
            likelihood=mine.Laplace(0.25),
            conditioning=ConditioningConfig(kind=mine.Scale(3.0)),
        )
    )
    text = json.dumps(config.to_dict())
    again = ExperimentConfig.from_dict(json.loads(text))
    assert again == config
    layer = make_conditioning(again.model.conditioning, name="told")
    assert (type(layer), layer.slope, layer.name) == (mine.Scale, 3.0, "told")
    assert LIKELIHOODS.make(again.model.likelihood).width == 0.25


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("fillm", "one of 'film', .*'none'.*or MODULE:CLASS.*kind='fillm'"),
        ("film(strength=0.3)", "settings of 'film' beside it"),
        ("mine_a:Scale(2.0)", r"arguments as \(name=value, \.\.\.\)"),
        ("mine_a:Scale(slope=f(1))", r"arguments as \(name=value, \.\.\.\)"),
        ("mine_a:Scale(**{'a': 1})", r"arguments as \(name=value, \.\.\.\)"),
        ("mine_a:Scale(slope=1); x", "one of 'film'"),
        (3, "one of 'film'.*received: kind=3"),
        (Gaussian, "a subclass of ConditioningLayer"),
        (keras.layers.Dense(3), "one of 'film'"),
    ],
)
def test_what_names_no_layer_is_refused_when_it_is_given(mine, kind, message):
    with pytest.raises(InputError, match=message):
        ConditioningConfig(kind=kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("not_there:Scale", "can be imported.*No module named 'not_there'"),
        ("mine_a:Scael", "can be imported.*no attribute 'Scael'"),
        ("mine_a:Other", "a subclass of ConditioningLayer"),
        ("mine_a:Scale(slop=1)", "that Scale takes.*'slop'"),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_made(mine, kind, message):
    config = ConditioningConfig(kind=kind)
    with pytest.raises(InputError, match=message):
        make_conditioning(config)


def test_names_are_taken_once():
    with pytest.raises(InputError, match="new name for Mine.*'film'.*taken"):

        @yoto_tf.register_conditioning("film")
        class Mine(yoto_tf.ConditioningLayer):
            pass

    with pytest.raises(InputError, match="a name of letters.*'a b'"):
        yoto_tf.register_likelihood("a b")
    with pytest.raises(InputError, match="a subclass of Likelihood"):
        yoto_tf.register_likelihood("wrong")(Gate)


def test_a_class_of_a_function_needs_a_name():
    class Local(yoto_tf.ConditioningLayer):
        pass

    with pytest.raises(InputError, match="registered under a name"):
        ConditioningConfig(kind=Local)
    yoto_tf.register_conditioning("local")(Local)
    assert ConditioningConfig(kind=Local).kind == "local"
    assert type(make_conditioning(ConditioningConfig(kind="local"))) is Local
    assert "local" in CONDITIONING.names
    # As a notebook does that runs a cell again.
    again = type("Local", (Local,), {"__qualname__": Local.__qualname__})
    yoto_tf.register_conditioning("local")(again)
    assert type(make_conditioning(ConditioningConfig(kind="local"))) is again


class Doubled(yoto_tf.ConditioningLayer):
    """Adds as many channels as there are."""

    adds_channels = True

    def call(self, features, conditioning):
        features, _ = self._cast(features, conditioning)
        return keras.ops.concatenate([features, features], -1)

    def compute_output_shape(self, features_shape, conditioning_shape):
        return (*features_shape[:-1], 2 * features_shape[-1])


def vae(**conditioning):
    return yoto_tf.ConditionalVAE(
        (32, 32, 1),
        ModelConfig(
            latent_size=2,
            base_channels=2,
            convs_per_block=1,
            dense_units=4,
            conditioning=ConditioningConfig(**conditioning),
        ),
    )


def test_a_layer_that_adds_channels_sits_where_they_may_be_added():
    images = np.zeros((2, 32, 32, 1), "float32")
    model = vae(kind=Doubled, sites=("conv", "dense", "latent"))
    assert model(images)["reconstruction"].shape == images.shape
    for site in ("posterior", "output"):
        with pytest.raises(InputError, match=f"other than '{site}'.*Doubled"):
            vae(kind=Doubled, sites=("conv", site))


def test_a_vae_of_ones_own_classes_is_saved_and_loaded(mine, tmp_path):
    model = vae(kind=mine.Scale(2.0), sites=("dense",))
    for weight in model.weights:
        if "conditioning" in weight.path:
            weight.assign(np.full(weight.shape, 0.5))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    stages = [s for s in loaded.decoder.stages if s.conditioning]
    assert [type(s.conditioning) for s in stages] == [mine.Scale] * 2
    latents = np.ones((3, 2), "float32")
    betas = np.float32([0.2, 4.0, 300.0])
    images = loaded.decode(latents, betas)
    np.testing.assert_array_equal(images, model.decode(latents, betas))
    assert np.abs(images[0] - images[2]).max() > 1e-4
