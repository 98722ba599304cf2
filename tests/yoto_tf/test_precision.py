"""Models under dtype policies other than float32."""

import keras
import numpy as np
import pytest
from keras import ops

from yoto_tf import ConditionalVAE
from yoto_tf import ConditioningConfig
from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf import ModelConfig
from yoto_tf import load_model
from yoto_tf.layers import ConditioningLayer
from yoto_tf.method.precision import default_policy
from yoto_tf.optimizers import FusedAdam

IMAGES = np.random.default_rng(0).integers(
    0, 256, (8, 32, 32, 3), dtype=np.uint8
)


def make_vae(kind="film", likelihood="bernoulli", **options):
    keras.utils.set_random_seed(0)
    config = ModelConfig(
        latent_size=4,
        base_channels=2,
        convs_per_block=1,
        dense_units=8,
        likelihood=likelihood,
        conditioning=ConditioningConfig(
            kind=kind,
            sites=("conv", "dense"),
            **({"hidden_units": 8} if "film" in kind else {}),
        ),
    )
    return ConditionalVAE((32, 32, 3), config, seed=0, **options)


def randomized(vae):
    """Gives the layers that start as the identity something to say."""
    rng = np.random.default_rng(0)
    for weight in vae.trainable_variables:
        if "conditioning" in weight.path:
            weight.assign(rng.normal(size=weight.shape) * 0.3)
    return vae


@pytest.mark.parametrize(
    ("policy", "likelihood"),
    [
        ("mixed_bfloat16", "gaussian"),
        ("float64", "bernoulli"),
        pytest.param("mixed_bfloat16", "bernoulli", marks=pytest.mark.slow),
        pytest.param("float64", "gaussian", marks=pytest.mark.slow),
    ],
)
def test_a_vae_scores_about_as_in_float32(policy, likelihood):
    plain = randomized(make_vae(likelihood=likelihood))
    vae = make_vae(likelihood=likelihood, dtype=policy)
    vae.set_weights(plain.get_weights())
    asked = {"beta": np.geomspace(0.125, 512, 8)}
    noise = np.random.default_rng(1).normal(size=(8, 4)).astype("float32")
    answers = vae(IMAGES, asked, noise=noise)
    least = "float64" if policy == "float64" else "float32"
    for name, expected in plain(IMAGES, asked, noise=noise).items():
        assert answers[name].dtype == least, name
        np.testing.assert_allclose(
            answers[name],
            expected,
            # A network in bfloat16, which has 8 bits, and sums that are not.
            rtol=1e-4 if policy == "float64" else 0.03,
            atol=1e-4 if policy == "float64" else 0.03,
            err_msg=name,
        )


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_vae_trains_and_goes_on_after_a_load(policy, tmp_path):
    vae = make_vae("gate", dtype=policy)
    half = policy.removeprefix("mixed_")
    for net in (vae.encoder, vae.decoder):
        assert {s.layer.compute_dtype for s in net.stages} == {half}
    assert {v.dtype for v in vae.trainable_variables} == {"float32"}
    # Of the two, one as a graph: a loss scale makes that a large one.
    vae.compile(FusedAdam(0.01), run_eagerly=half == "float16")
    images = np.concatenate([IMAGES] * 4)
    logs = vae.fit(images, batch_size=8, epochs=5, verbose=0).history
    # Of noise 3,072 log(2) is the least.
    assert logs["distortion"][-1] < logs["distortion"][0] - 1
    vae.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    logs = [
        m.fit(IMAGES, shuffle=False, verbose=0).history for m in (vae, loaded)
    ]
    assert logs[0] == logs[1]


def test_the_global_policy_counts_where_none_is_given():
    with default_policy("mixed_bfloat16"):
        vae = make_vae()
        inner = make_vae(dtype="float32")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert vae.decoder.stages[0].layer.compute_dtype == "bfloat16"
    assert inner.decoder.stages[0].layer.compute_dtype == "float32"


@pytest.mark.parametrize("kind", ["film", "sigmoid_film", "gate", "spline"])
def test_near_betas_are_not_one_under_bfloat16(kind, monkeypatch):
    near = np.float32([300.0, 301.0])
    seen = []
    cast = ConditioningLayer._cast

    def spy(layer, features, conditioning):
        features, conditioning = cast(layer, features, conditioning)
        seen.append(conditioning.numpy())
        assert features.dtype == "bfloat16"
        return features, conditioning

    monkeypatch.setattr(ConditioningLayer, "_cast", spy)
    vae = make_vae(kind, dtype="mixed_bfloat16")
    vae(IMAGES[:2], {"beta": near})
    stages = [*vae.encoder.stages, *vae.decoder.stages]
    assert len(seen) == sum(s.conditioning is not None for s in stages) > 4
    expected = LogUniform(0.125, 512.0).coordinate(near)
    # In bfloat16 the two are one.
    assert len(np.unique(ops.cast(expected, "bfloat16"))) == 1
    for conditioning in seen:
        np.testing.assert_allclose(conditioning, expected, rtol=1e-6)
        assert len(np.unique(conditioning)) == 2


class Line(LossConditionalModel):
    """A model of a user's own."""

    def __init__(self, **options):
        super().__init__(
            {"error": 1.0, "size": LogUniform(0.01, 1.0)}, **options
        )
        self.net = keras.layers.Dense(1, dtype=self.dtype_policy)

    def call(self, x, loss_parameters):
        seen = ops.concatenate([x, self.coordinates(loss_parameters)], -1)
        return self.net(seen)[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {"error": (outputs - y) ** 2, "size": abs(outputs)}


class Mixed(Line):
    """Its call adds up numbers of different dtypes."""

    def call(self, x, loss_parameters):
        return super().call(x, loss_parameters) + loss_parameters["size"]


@pytest.mark.parametrize(
    ("policy", "jit_compile"),
    [
        ("mixed_bfloat16", True),
        ("mixed_float16", False),
        ("float64", False),
        pytest.param("mixed_bfloat16", False, marks=pytest.mark.slow),
        pytest.param("mixed_float16", True, marks=pytest.mark.slow),
        pytest.param("float64", True, marks=pytest.mark.slow),
    ],
)
def test_a_model_of_ones_own_trains_without_casts(policy, jit_compile):
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    y = x.sum(1)
    model = Line(dtype=policy)
    model.compile(keras.optimizers.Adam(0.1), jit_compile=jit_compile)
    assert model.net.compute_dtype == policy.removeprefix("mixed_")
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    before = model.evaluate(x, y, verbose=0)[0]
    model.fit(x, y, epochs=10, verbose=0)
    assert model.evaluate(x, y, verbose=0)[0] < 0.7 * before


@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_bfloat16"])
def test_every_road_gives_a_network_values_of_one_dtype(policy):
    class Notes(Line):
        def call(self, x, loss_parameters):
            seen.append(loss_parameters["size"].dtype)
            return super().call(x, loss_parameters)

    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    seen, model = [], Notes(dtype=policy)
    model.compile("sgd")
    model.fit(x, x[:, 0], verbose=0)
    model.evaluate(x, x[:, 0], verbose=0)
    for asked in (None, {"size": 0.3}, {"size": np.full(8, 0.3)}):
        model(x, asked)
        model.predict(x, loss_parameters=asked, verbose=0)
    assert {d.name if hasattr(d, "name") else d for d in seen} == {
        "float64" if policy == "float64" else "float32"
    }


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_ones_own_is_told_what_to_cast(policy):
    x = np.ones((32, 3), "float32")
    model = Mixed(dtype=policy)
    model.compile()
    with pytest.raises(
        InputError, match=f"in float32, as by keras.ops.cast.*{policy!r}"
    ):
        model.fit(x, x[:, 0], verbose=0)


def test_gradients_that_float16_does_not_hold_are_scaled():
    """1e-9 is 0 in float16; the loss scale brings it into its range."""

    class Faint(Line):
        def loss_terms(self, x, y, outputs, loss_parameters):
            terms = super().loss_terms(x, y, outputs, loss_parameters)
            return {n: 1e-9 * t for n, t in terms.items()}

    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    moved = {}
    for policy in ("float32", "mixed_float16"):
        keras.utils.set_random_seed(0)
        model = Faint(dtype=policy, seed=0)
        model.compile(keras.optimizers.SGD(1e8))
        model(x)
        before = model.get_weights()
        model.fit(x, x[:, 0], batch_size=32, verbose=0)
        moved[policy] = model.get_weights()[0] - before[0]
    assert np.abs(moved["float32"]).min() > 1e-3
    np.testing.assert_allclose(
        moved["mixed_float16"], moved["float32"], rtol=0.02, atol=1e-3
    )


def test_terms_of_few_bits_are_weighted_in_float32():
    model = Line()
    ones = {n: ops.ones(3, "bfloat16") for n in ("error", "size")}
    weights = {"error": ops.ones(3), "size": ops.full((3,), 0.003)}
    model.loss_terms = lambda x, y, outputs, loss_parameters: ones
    terms = model.checked_terms(np.ones((3, 1)), None, None, weights)
    loss = model.objective(terms, weights)
    assert loss.dtype == "float32"
    # 1 in bfloat16.
    np.testing.assert_allclose(loss, [1.003] * 3, rtol=1e-6)


@pytest.mark.parametrize("policy", ["bfloat16", "float16"])
def test_variables_of_few_bits_are_refused(policy):
    with pytest.raises(InputError, match="as 'mixed_bfloat16', received"):
        make_vae(dtype=policy)
