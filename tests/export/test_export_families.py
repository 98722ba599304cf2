"""What is served follows from the family: any model, any loss parameters."""

import dataclasses
import json

import compression_models
import keras
import numpy as np
import pytest
import served_families

import yoto_tf
from export import saved_model
from yoto_tf.errors import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.families import Family
from yoto_tf.families import family_of_model
from yoto_tf.families import get_family
from yoto_tf.families.vae.view import VIEW
from yoto_tf.families.view import Input
from yoto_tf.families.view import Output
from yoto_tf.families.view import Traversal
from yoto_tf.families.view import View
from yoto_tf.session import Session


def manifest(version):
    return json.loads((version / "assets.extra/manifest.json").read_text())


@pytest.mark.slow
def test_a_subclass_of_the_vae_takes_both_of_its_loss_parameters():
    version, model = served_families.folder("tc") / "1", served_families.tc()
    images = np.random.default_rng(0).random((3, 32, 32, 3), "float32")
    beta = np.float32([[1, 8], [64, 1], [2, 2]])
    tc = np.float32([[0.5, 8], [0.5, 0.5], [8, 1]])
    with Session(version) as session:
        found = session.run("curve", {"image": images, "beta": beta, "tc": tc})
        for k in range(2):
            expected = model.reconstruct(images, beta[:, k], {"tc": tc[:, k]})
            np.testing.assert_allclose(
                found["reconstruction"][:, k], expected, atol=1e-5
            )
        one = {"image": images[:1], "beta": beta[0, :1]}
        told = [
            session.run("encode", {**one, "tc": np.float32([t])})["mean"]
            for t in (0.5, 8)
        ]
        assert np.abs(told[0] - told[1]).max() > 1e-3
        with pytest.raises(Exception, match="expected tc between 0.5 and 8"):
            session.run("encode", {**one, "tc": np.float32([9])})
        with pytest.raises(Exception, match="as many values of tc as of beta"):
            session.run(
                "curve", {"image": images, "beta": beta, "tc": tc[:, :1]}
            )
    assert [p["name"] for p in manifest(version)["loss_parameters"]] == [
        "beta",
        "tc",
    ]
    assert manifest(version)["family"] == "vae"


def test_a_model_of_no_family_is_served_and_its_bad_rows_are_flagged():
    version = served_families.folder("alarms") / "1"
    model, x = served_families.alarms(), served_families.rows(4)
    asked = {
        "miss": np.float32([0.1, 10, 11, 1]),
        "smoothing": np.float32([0, 0.4, 0.1, 0.2]),
    }
    with Session(version) as session:
        found = session.run("predict", {"inputs": x, **asked})
        said = session.run("loss_parameters", {"rows": np.zeros(1, "int32")})
    assert found["in_range"].tolist() == [True, True, False, False]
    good = {n: v[:2] for n, v in asked.items()}
    expected = model.predict(x[:2], loss_parameters=good, verbose=0)
    np.testing.assert_allclose(
        found["probability"][:2], expected["probability"], rtol=1e-4
    )
    assert np.isnan(found["probability"][2:]).all()
    # Fewer intervals than the others have: the last one again.
    assert said["name"].tolist() == [[b"miss", b"smoothing"]]
    np.testing.assert_array_equal(
        said["ranges"][0],
        np.float32(
            [[[0.1, 10]] * 3, [[0, 0], [0.1, 0.1], [0.4, 0.4]]],
        ),
    )
    told = manifest(version)
    assert told["family"] is None
    assert told["view"] is None
    assert told["loss_parameters"][0]["default"] == 2


def test_a_model_of_no_family_in_half_precision_is_served_in_float32(tmp_path):
    model = served_families.alarms()
    half = type(model).from_config(
        {**model.get_config(), "dtype": "mixed_bfloat16"}
    )
    half.build_from_config(model.get_build_config())
    half.set_weights(model.get_weights())
    x = served_families.rows(3)
    path, _ = saved_model.export_model(half, tmp_path / "m", example=x)
    asked = {n: np.full(3, v, "float32") for n, v in
             model.loss_parameters.defaults.items()}  # fmt: skip
    with Session(path) as session:
        found = session.run("predict", {"inputs": x, **asked})
    np.testing.assert_allclose(
        found["logit"], model.predict(x, verbose=0)["logit"], rtol=1e-4
    )


class Added(served_families.AlarmsOfRows):
    """Knows more than its configuration says, and has none to be made by."""

    added = 0.0

    def call(self, x, loss_parameters):
        outputs = super().call(x, loss_parameters)
        added = keras.ops.cast(self.added, outputs["logit"].dtype)
        return {"logit": outputs["logit"] + added}

    def get_config(self):
        raise NotImplementedError


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_of_another_precision_the_model_itself_is_served(tmp_path, policy):
    """A copy by the configuration would lose what was set since."""
    model = Added({"miss": yoto_tf.LogUniform(0.1, 10.0)}, dtype=policy)
    x = served_families.rows(3)
    before = model.predict(x, verbose=0)["logit"]
    model.added = 3.0
    model.compile()  # predict() would go on as it was traced
    expected = model.predict(x, verbose=0)["logit"]
    np.testing.assert_allclose(expected, before + 3, atol=0.05)
    policies = [w.dtype_policy for w in model._flatten_layers()]
    path, _ = saved_model.export_model(model, tmp_path / "m", example=x)
    asked = {"miss": np.full(3, model.loss_parameters.defaults["miss"], "f")}
    with Session(path) as session:
        found = session.run("predict", {"inputs": x, **asked})["logit"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.05)
    # Computed from the same weights in NumPy.
    hidden, logit = model.hidden.get_weights(), model.logit.get_weights()
    told = np.asarray(
        model.coordinates({k: keras.ops.array(v) for k, v in asked.items()})
    )
    seen = np.concatenate([x, told], -1).astype("float64")
    by_hand = np.tanh(seen @ hidden[0] + hidden[1]) @ logit[0] + logit[1] + 3
    np.testing.assert_allclose(found, by_hand[:, 0], rtol=1e-5)
    # All is as it was.
    assert [w.dtype_policy for w in model._flatten_layers()] == policies
    np.testing.assert_array_equal(
        model.predict(x, verbose=0)["logit"], expected
    )


class Lazy(served_families.AlarmsOfRows):
    """Makes a layer at its first call."""

    def build(self, *_):
        self.last = keras.layers.Dense(1, dtype=self.dtype_policy)

    def call(self, x, loss_parameters):
        found = super().call(x, loss_parameters)["logit"]
        return {"logit": self.last(found[:, None])[:, 0]}


def test_layers_that_an_export_builds_have_the_models_precision(tmp_path):
    model = Lazy(
        {"miss": yoto_tf.LogUniform(0.1, 10.0)}, dtype="mixed_bfloat16"
    )
    x = served_families.rows(3)
    saved_model.export_model(model, tmp_path / "m", example=x)
    assert model.last.dtype_policy is model.dtype_policy
    assert model.last.compute_dtype == "bfloat16"


class Placed(keras.layers.Layer):
    """Keeps a constant of its first dtype."""

    def build(self, shape):
        self.place = keras.ops.cast(np.arange(shape[-1]), self.compute_dtype)

    def call(self, x):
        return x + self.place


def test_a_layer_that_keeps_its_dtype_is_a_sentence(tmp_path):
    class Own(served_families.AlarmsOfRows):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.placed = Placed(dtype=self.dtype_policy)

        def call(self, x, loss_parameters):
            return super().call(self.placed(x), loss_parameters)

    model = Own({"miss": yoto_tf.LogUniform(0.1, 10.0)}, dtype="mixed_bfloat16")
    x = served_families.rows(3)
    model(x)
    with pytest.raises(InputError, match="ask for their compute_dtype.*bfloat"):
        saved_model.export_model(model, tmp_path / "m", example=x)
    assert model.placed.compute_dtype == "bfloat16"


def test_a_quantised_model_is_served_as_it_answers_or_refused(tmp_path):
    """Its whole-number weights mean nothing without their policy."""
    x = served_families.rows(8)
    for policy in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        model = served_families.AlarmsOfRows(
            {"miss": yoto_tf.LogUniform(0.1, 10.0)}, dtype=policy
        )
        model(x)
        for layer in (model.hidden, model.logit):
            layer.quantize("int8")
        expected = model.predict(x, verbose=0)["logit"]
        try:
            path, _ = saved_model.export_model(
                model, tmp_path / policy, example=x
            )
        except VerificationError:
            assert policy != "float32"
            continue
        asked = {
            "miss": np.full(8, model.loss_parameters.defaults["miss"], "f")
        }
        with Session(path) as session:
            found = session.run("predict", {"inputs": x, **asked})["logit"]
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_shares_that_sum_to_one_are_judged_together(tmp_path):
    keras.utils.set_random_seed(0)
    model = served_families.AlarmsOfRows(
        yoto_tf.Dirichlet({"miss": 1.0, "false_alarm": 1.0, "smoothing": 1.0})
    )
    x = served_families.rows(3)
    model(x)
    path, _ = saved_model.export_model(model, tmp_path / "m", "flag", example=x)
    asked = {
        "miss": np.float32([0.2, 0.2, 1.2]),
        "false_alarm": np.float32([0.3, 0.3, 0.3]),
        "smoothing": np.float32([0.5, 0.4, -0.5]),
    }
    with Session(path) as session:
        found = session.run("predict", {"inputs": x, **asked})
    assert found["in_range"].tolist() == [True, False, False]
    first = {n: v[:1] for n, v in asked.items()}
    np.testing.assert_allclose(
        found["logit"][:1],
        model.predict(x[:1], loss_parameters=first, verbose=0)["logit"],
        rtol=1e-4,
    )


class Viewed(Family):
    view = View("predict", (Input("inputs", "row", ("a", "b")),), ())


def test_a_view_that_does_not_fit_is_not_published(tmp_path):
    model, x = served_families.alarms(), served_families.rows(3)
    with pytest.raises(InputError, match="view does not fit: expected the inp"):
        saved_model.export_model(
            model, tmp_path / "m", family=Viewed(), example=x
        )
    assert list((tmp_path / "m").iterdir()) == []


def test_what_an_export_needs_is_said(tmp_path):
    model = served_families.alarms()
    fresh = type(model).from_config(model.get_config())
    with pytest.raises(InputError, match="example=x"):
        saved_model.export_model(fresh, tmp_path / "m")
    with pytest.raises(InputError, match="a family among"):
        saved_model.export_model(model, tmp_path / "m", family="vea")
    with pytest.raises(InputError, match="AlarmsOfRows, which is not of"):
        saved_model.export_model(model, tmp_path / "m", family="vae")
    with pytest.raises(InputError, match="has no config.json"):
        saved_model.export_model(model, tmp_path / "m", run=tmp_path / "none")
    with pytest.raises(InputError, match="invalid_rows='ignore'"):
        saved_model.export_model(
            model, tmp_path / "m", "ignore", example=served_families.rows(3)
        )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("given", ["", "a\0b", None, 7])
def test_what_is_no_folder_is_a_sentence(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="expected a path, received: to="):
        saved_model.export_model(served_families.alarms(), given)
    assert list(tmp_path.iterdir()) == []


def test_the_family_of_a_model():
    assert family_of_model(served_families.tc()) is get_family("vae")
    assert type(family_of_model(served_families.alarms())) is Family


def spec(dtype, *shape):
    return dataclasses.make_dataclass("S", ["dtype", "shape"])(dtype, shape)


def signature(inputs, outputs):
    return dataclasses.make_dataclass("G", ["inputs", "outputs"])(
        inputs, outputs
    )


MEAN = "mean", "stddev"
ROW, IMAGE = spec("float32", None), spec("float32", None, 8, 8, 3)
SERVED = {
    "reconstruct": signature(
        {"image": IMAGE, "beta": ROW},
        {"reconstruction": IMAGE, "rate": ROW, "distortion": ROW},
    ),
    "curve": signature(
        {"image": IMAGE, "beta": ROW},
        {"reconstruction": IMAGE, "rate": ROW, "distortion": ROW},
    ),
    "sample": signature(
        {"noise": spec("float32", None, 2), "beta": ROW}, {"image": IMAGE}
    ),
    "encode": signature(
        {"image": IMAGE, "beta": ROW},
        {"mean": spec("float32", None, 2), "stddev": spec("float32", None, 2)},
    ),
    "decode": signature(
        {"latent": spec("float32", None, 2), "beta": ROW}, {"image": IMAGE}
    ),
}


def test_a_view_travels_as_json_and_fits_what_is_served():
    view = View.from_dict(json.loads(json.dumps(VIEW.to_dict())))
    assert view == VIEW
    assert view.problem(SERVED, ["beta"]) is None
    assert view.total.parameters == {"beta"}
    assert "further inputs ['beta']" in view.problem(SERVED, [])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"signature": "x"}, "expected a signature x"),
        ({"inputs": ()}, "one picture, or rows"),
        (
            {"inputs": (Input("image"), Input("beta", "row"))},
            "one picture, or rows alone",
        ),
        ({"inputs": (Input("image", "row"),)}, "image of reconstruct as a row"),
        ({"outputs": (Output("mean"),)}, "an output mean of reconstruct"),
        (
            {"outputs": (Output("rate", "picture"),)},
            r"rate of reconstruct as a picture, received: float32 (any)",
        ),
        ({"trade_off": ("rate", "cost")}, "expected cost among the numbers"),
        ({"curve": "sample"}, "expected an input image of sample"),
        (
            {"traversal": Traversal("encode", "mean", "s", "decode", "z", "i")},
            "an output s of encode",
        ),
        (
            {"traversal": Traversal("encode", *MEAN, "sample", "latent", "i")},
            "an input latent of sample",
        ),
    ],
)
def test_views_that_do_not_fit_say_why(change, sentence):
    view = dataclasses.replace(VIEW, **change)
    assert sentence in view.problem(SERVED, ["beta"])


@pytest.mark.slow
def test_a_compression_model_flags_rows_and_keeps_its_mark(tmp_path):
    model = compression_models.tiny()
    path, _ = saved_model.export_model(model, tmp_path / "m", "flag")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), "uint8")
    with Session(path) as session:
        found = session.run(
            "analyze", {"image": pixels, "lmbda": np.float32([0.01, 0.5])}
        )
        one = session.run(
            "analyze", {"image": pixels[:1], "lmbda": np.float32([0.01])}
        )
    assert np.isnan(found["bits"]).tolist() == [False, True]
    assert not found["symbols"][1].any()
    np.testing.assert_array_equal(found["symbols"][:1], one["symbols"])
    # Whose answer it is does not depend on what was asked.
    np.testing.assert_array_equal(*found["fingerprint"])
