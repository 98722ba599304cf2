"""From a list of endpoints to a version: all or nothing."""

import dataclasses
import json

import export_runs
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from export import saved_model
from export import verify
from export import warmup
from yoto_tf.endpoint import Endpoint
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.families.vae import picture_files
from yoto_tf.families.vae.endpoints import vae_endpoints
from yoto_tf.families.vae.model.conv_vae import ConditionalVAE
from yoto_tf.session import Session

VAE_ENDPOINTS = "yoto_tf.families.vae.endpoints.vae_endpoints"


@pytest.fixture(scope="module")
def exported():
    return export_runs.exported("bernoulli", "error")


def named(model):
    return {e.name: e for e in vae_endpoints(model)}


def test_what_is_published_is_what_was_compared(exported):
    """Among others, a signature that somebody adds and forgets elsewhere."""
    proto = saved_model_pb2.SavedModel.FromString(
        (exported.path / "saved_model.pb").read_bytes()
    )
    published = set(proto.meta_graphs[0].signature_def)
    compared = {d.signature for d in exported.differences}
    assert published == compared | {"__saved_model_init_op"}
    assert compared == {"serving_default", *named(exported.model)}


def test_a_signature_that_answers_wrong_is_not_published(
    exported, tmp_path, monkeypatch
):
    right = named(exported.model)["encode"]

    def a_thousand_times_the_mean(image, beta):
        found = right.function(image, beta)
        return {**found, "mean": found["mean"] * 1000}

    wrong = dataclasses.replace(
        right, name="wrong", function=a_thousand_times_the_mean
    )
    monkeypatch.setattr(
        VAE_ENDPOINTS,
        lambda *_: [right, wrong],
    )
    with pytest.raises(VerificationError, match="wrong: mean .* differs"):
        saved_model.export_model(exported.model, tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.slow
def test_pictures_are_not_compared_with_what_the_server_makes_of_them(
    exported, tmp_path, monkeypatch
):
    """A decoder that both sides used would be wrong in silence."""
    decode = picture_files.decode

    def inverted(*arguments):
        pixels, good = decode(*arguments)
        return 255 - pixels, good

    monkeypatch.setattr(picture_files, "decode", inverted)
    one = named(exported.model)["reconstruct_bytes"]
    monkeypatch.setattr(VAE_ENDPOINTS, lambda *_: [one])
    with pytest.raises(VerificationError, match="image_bytes .* differs"):
        saved_model.export_model(exported.model, tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_a_signature_that_no_endpoint_has_is_found_out(exported):
    with pytest.raises(VerificationError, match="expected the signatures"):
        verify.verify(exported.path, vae_endpoints(exported.model)[:-1])


def test_inputs_of_any_name_and_type_are_warmed_up(tmp_path):
    """Strings, whole numbers and booleans, none of them called as the VAE's;
    values that differ and values that do not."""
    specs = [
        tf.TensorSpec([None], tf.string, name="caption"),
        tf.TensorSpec([None, None], tf.int64, name="tokens"),
        tf.TensorSpec([None, 2], tf.bool, name="flags"),
    ]

    def function(caption, tokens, flags):
        known = tf.where(flags[:, :1], tokens, 0)
        return {
            "letters": tf.strings.length(caption),
            "total": tf.reduce_sum(known, axis=1),
        }

    def reference(caption, tokens, flags):
        return {
            "letters": [len(c) for c in caption],
            "total": (tokens * flags[:, :1]).sum(1),
        }

    def example(rows, seed):
        if seed is None:
            caption = np.array([b"same \0"] * rows, object)
            return {
                "caption": caption,
                "tokens": np.arange(3 * rows).reshape(rows, 3),
                "flags": np.ones((rows, 2), bool),
            }
        rng = np.random.default_rng(seed)
        words = [b"x" * rng.integers(9) for _ in range(rows)]
        return {
            "caption": np.array(words, object),
            "tokens": rng.integers(0, 99, (rows, 4)),
            "flags": rng.integers(0, 2, (rows, 2)).astype(bool),
        }

    endpoint = Endpoint(
        name="count",
        inputs=specs,
        function=function,
        reference=reference,
        example=example,
    )
    folder = tmp_path / "1"
    saved_model.write(folder, [endpoint], [1, 2, 4])
    differences = verify.verify(folder, [endpoint])
    assert {d.output for d in differences} == {"letters", "total"}
    requests = list(warmup.requests(folder))
    assert [signature for signature, _ in requests] == [
        "serving_default",
        "count",
    ] * 3
    with Session(folder) as session:
        for signature, inputs in requests:
            rows = len(inputs["caption"])
            expected = example(rows, None)
            for name, values in expected.items():
                np.testing.assert_array_equal(inputs[name], values)
            found = session.run(signature, inputs)
            np.testing.assert_array_equal(found["letters"], [6] * rows)


@pytest.fixture
def few_endpoints(monkeypatch):
    """The quick ones; the others would only take time."""
    monkeypatch.setattr(
        VAE_ENDPOINTS,
        lambda model, invalid_rows: [
            e
            for e in vae_endpoints(model, invalid_rows)
            if e.name in ("decode", "loss_parameters")
        ],
    )
    monkeypatch.setattr(verify, "check_view", lambda *_: None)


def test_a_model_trained_in_python_is_exported(
    exported, tmp_path, few_endpoints
):
    """Without a run directory there is no curve; all else is as it was."""
    folder = tmp_path / "m"
    path, differences = saved_model.export_model(exported.model, str(folder))
    assert path == folder / "1"
    assert all(d.largest < 1e-5 for d in differences)
    manifest = json.loads((path / "assets.extra/manifest.json").read_text())
    assert manifest["loss_parameters"][0]["high"] == 512
    assert not {"curve", "trained", "evaluation"} & set(manifest)
    assert not (path / "assets.extra/curve.csv").exists()
    with Session(path) as session:
        z, beta = export_runs.latents(2), export_runs.betas(2)
        found = session.run("decode", {"latent": z, "beta": beta})
        np.testing.assert_allclose(
            found["image"], exported.model.decode(z, beta), atol=1e-5
        )
    with pytest.raises(InputError, match="invalid_rows='ignore'"):
        saved_model.export_model(exported.model, folder, "ignore")
    with pytest.raises(InputError, match="expected a LossConditional"):
        saved_model.export_model(keras.Sequential(), folder)
    assert [p.name for p in folder.iterdir()] == ["1"]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_a_model_of_another_precision_is_served_in_float32(
    exported, tmp_path, few_endpoints, policy
):
    plain = exported.model
    model = ConditionalVAE.from_config({**plain.get_config(), "dtype": policy})
    model.set_weights(plain.get_weights())
    z, beta = export_runs.latents(3), export_runs.betas(3)
    expected = np.asarray(plain.decode(z, beta))
    if policy == "mixed_bfloat16":
        own = np.asarray(model.decode(z, beta), "float32")
        assert np.abs(own - expected).max() > 1e-4
    path, _ = saved_model.export_model(model, tmp_path / "m")
    with Session(path) as session:
        found = session.run("decode", {"latent": z, "beta": beta})["image"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


class Negative(ConditionalVAE):
    """Trained on what the served methods know nothing of."""

    def call(self, x, loss_parameters, noise=None):
        return super().call(1 - x, loss_parameters, noise)


class Penalised(ConditionalVAE):
    def call(self, x, loss_parameters, noise=None):
        outputs = super().call(x, loss_parameters, noise)
        return {**outputs, "rate": outputs["rate"] + 5}


class Scaled(ConditionalVAE):
    def call(self, x, loss_parameters, noise=None):
        outputs = super().call(x, loss_parameters, noise)
        return {**outputs, "mean": outputs["mean"] * 100}


class Sharpened(ConditionalVAE):
    def predict_step(self, data):
        return {"reconstruction": super().predict_step(data)["mean"]}


class Fitted(ConditionalVAE):
    def sample(self, num, **kwargs):
        return 1 - super().sample(num, **kwargs)


class Noiseless(ConditionalVAE):
    def call(self, x, loss_parameters):
        return super().call(x, loss_parameters)


class Bent(ConditionalVAE):
    """As subclasses are to be written."""

    def likelihood_of(self, z, loss_parameters):
        return super().likelihood_of(2 * z, loss_parameters)


@pytest.mark.slow
def test_what_call_makes_of_an_image_is_served_or_nothing_is(
    exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        VAE_ENDPOINTS,
        lambda model, _: [
            e for e in vae_endpoints(model) if e.name == "reconstruct"
        ],
    )
    monkeypatch.setattr(verify, "check_view", lambda *_: None)
    config = exported.model.get_config()
    for kind, name in (
        (Negative, "reconstruction"),
        (Penalised, "rate"),
        (Scaled, "mean"),
    ):
        model = kind.from_config(config)
        model.set_weights(exported.model.get_weights())
        with pytest.raises(
            VerificationError, match=f"call.. of {kind.__name__}.*the {name} "
        ):
            saved_model.export_model(model, tmp_path / "m")
    for kind, name in ((Sharpened, "predict_step"), (Fitted, "sample")):
        model = kind.from_config(config)
        with pytest.raises(
            InputError, match=rf"a {name}\(\) of {kind.__name__}"
        ):
            saved_model.export_model(model, tmp_path / "m")
    with pytest.raises(InputError, match="Noiseless's own that takes no n"):
        saved_model.export_model(Noiseless.from_config(config), tmp_path / "m")
    model = Bent.from_config(config)
    model.set_weights(exported.model.get_weights())
    seeds = [v for v in model.variables if "seed_generator" in v.path]
    before = [v.numpy() for v in seeds]
    saved_model.export_model(model, tmp_path / "m")
    # Training that goes on draws as if nothing had happened.
    assert len(seeds) >= 2
    np.testing.assert_array_equal([v.numpy() for v in seeds], before)


def test_an_example_without_an_input_is_a_sentence(
    exported, tmp_path, monkeypatch
):
    one = named(exported.model)["decode"]

    def example(rows, seed):
        inputs = dict(one.example(rows, seed))
        del inputs["beta"]
        return inputs

    wrong = dataclasses.replace(one, example=example)
    monkeypatch.setattr(VAE_ENDPOINTS, lambda *_: [wrong])
    with pytest.raises(InputError, match=r"of decode.*received: \['latent'\]"):
        saved_model.export_model(exported.model, tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_a_family_without_endpoints_or_with_two_of_a_name_is_a_sentence(
    exported, tmp_path, monkeypatch
):
    one = named(exported.model)["decode"]
    for wrong in ([], [one, one]):
        monkeypatch.setattr(VAE_ENDPOINTS, lambda *_, wrong=wrong: wrong)
        with pytest.raises(InputError, match="one or more endpoints with nam"):
            saved_model.export_model(exported.model, tmp_path / "m")
