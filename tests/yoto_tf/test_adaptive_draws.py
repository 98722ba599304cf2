"""Draws that follow how large a weight's term is."""

import keras
import numpy as np
import pytest
from keras import ops

from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf import ModelConfig
from yoto_tf import Uniform
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.method.adaptive import AdaptiveDraws
from yoto_tf.strict_config import with_settings

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")


class Shrunk(LossConditionalModel):
    """Two weights, and a parameter that a term reads."""

    def __init__(self, share=0.5, **kwargs):
        super().__init__(
            {
                "large": LogUniform(0.1, 10.0),
                "small": Uniform(1.0, 2.0),
                "level": Uniform(0.0, 1.0),
            },
            adaptive_draws=share,
            seed=0,
            **kwargs,
        )
        self.last = keras.layers.Dense(1)

    def call(self, x, loss_parameters):
        c = self.coordinates(loss_parameters)
        return self.last(ops.concatenate([x, c], -1))[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        level = loss_parameters["level"]
        # What they are does not follow from training.
        ones = ops.ones_like(outputs)
        return {
            "fit": ops.square(outputs - level),
            "large": ones / loss_parameters["large"],
            "small": -ones,
        }

    def get_config(self):
        config = super().get_config()
        return {"share": config["adaptive_draws"]}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def with_means(rows, share=0.5, names=("a",)):
    layer = AdaptiveDraws(dict.fromkeys(names, "t"), share)
    layer.set_weights([np.float32(rows)])
    return layer


def test_terms_of_one_weight_count_together():
    class Two(Shrunk):
        weight_names = {"fit": "large", "large": "large"}

    model = Two(0.8)
    model.compile("sgd")
    model.fit(X, X[:, 0], epochs=3, verbose=0)
    assert model._adaptive.terms["large"] == ["fit", "large"]
    layer = AdaptiveDraws({"w": ["a", "b"]}, 0.5)
    at = {"w": np.float32([0.01, 0.99])}
    layer.update(at, {"a": np.float32([0, 3]), "b": np.float32([1, 2])})
    means = layer.get_weights()[0][0]
    assert (means[0], means[-1], means[1:-1].any()) == (1, 5, False)


def test_bands_are_drawn_in_proportion_to_their_means():
    means = np.arange(16.0)
    layer = with_means([means], share=0.75)
    expected = 0.25 / 16 + 0.75 * means**1.5 / (means**1.5).sum()
    np.testing.assert_allclose(layer.shares()[0], expected, rtol=1e-5)
    uniform = np.float32((np.arange(40_000) + 0.5) / 40_000)
    warped = layer.warps()["a"](ops.convert_to_tensor(uniform)).numpy()
    counts = np.bincount((warped * 16).astype(int), minlength=16) / len(warped)
    np.testing.assert_allclose(counts, expected, atol=1e-4)
    # The quantile function of a density that is constant in every band.
    ends = np.concatenate([[0], np.cumsum(expected)])
    line = np.interp(uniform, ends, np.linspace(0, 1, 17))
    np.testing.assert_allclose(warped, line, atol=1e-5)


def test_before_the_first_step_draws_are_those_of_the_distribution():
    even, odd = Shrunk(0.5), Shrunk(0.0)
    ours, plain = (m.sample_loss_parameters(100) for m in (even, odd))
    for name, values in plain.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5)


def test_means_are_those_of_the_last_examples_of_each_band():
    layer = AdaptiveDraws({"a": "t"}, 0.9)
    rng = np.random.default_rng(1)
    expected = np.zeros(16)
    for _ in range(5):
        # None in the upper half.
        at, terms = rng.random(40) / 2, rng.normal(3, 2, 40)
        layer.update({"a": np.float32(at)}, {"t": np.float32(terms)})
        for band in range(8):
            # A term below 0 counts as 0.
            inside = np.maximum(terms[(at * 16).astype(int) == band], 0)
            if len(inside):
                kept = 0.99 ** len(inside) if expected[band] else 0
                expected[band] *= kept
                expected[band] += (1 - kept) * inside.mean()
    np.testing.assert_allclose(layer.get_weights()[0][0], expected, rtol=1e-5)
    assert not expected[8:].any()
    assert expected[:8].all()


@pytest.mark.slow
def test_a_model_draws_more_where_a_weights_term_is_large():
    model = Shrunk(0.8)
    model.compile("sgd")
    model.fit(X, X[:, 0], batch_size=32, epochs=40, verbose=0)
    drawn = model.sample_loss_parameters(20_000)
    # The term is 1 / w: its mean over the bands of log(w), of equal widths.
    ends = 0.1 * 100 ** np.linspace(0, 1, 17)
    means = 1 / ends[:-1] - 1 / ends[1:]
    expected = 0.2 / 16 + 0.8 * means**1.5 / (means**1.5).sum()
    counts, _ = np.histogram(drawn["large"], ends)
    error = np.sqrt(20_000 * expected)
    assert (np.abs(counts - 20_000 * expected) < 4 * error).all()
    # A term below 0, and a parameter that is no weight: evenly.
    for name, low, high in [("small", 1, 2), ("level", 0, 1)]:
        counts, _ = np.histogram(drawn[name], 16, (low, high))
        np.testing.assert_allclose(counts / 20_000, 1 / 16, rtol=0.15)


def test_what_was_learned_of_the_draws_is_saved(tmp_path):
    model = Shrunk(0.8)
    model.compile("sgd", run_eagerly=True)
    model.fit(X, X[:, 0], batch_size=32, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(
        tmp_path / "m.keras", custom_objects={"Shrunk": Shrunk}
    )
    before, after = (m._adaptive.shares().numpy() for m in (model, again))
    np.testing.assert_array_equal(before, after)
    assert before[0, 0] > 2 * before[0, -1]


class Steep(ConditionalVAE):
    """Its rate is known: 10 / beta."""

    def loss_terms(self, x, y, outputs, loss_parameters):
        terms = super().loss_terms(x, y, outputs, loss_parameters)
        known = 10 / loss_parameters["beta"]
        return {**terms, "rate": 0 * terms["rate"] + known}


def test_a_vae_draws_betas_by_their_rates():
    model = Steep(
        (32, 32, 1),
        ModelConfig(
            latent_size=2, base_channels=2, convs_per_block=1, dense_units=4
        ),
        BetaConfig(low=0.5, high=8.0, adaptive=0.5),
        seed=0,
    )
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    pixels = np.random.default_rng(0).integers(
        0, 256, (512, 32, 32, 1), "uint8"
    )
    model.fit(pixels, batch_size=128, verbose=0)
    shares = model._adaptive.shares().numpy()[0]
    # The mean of 1 / beta over log(beta), in each of 16 bands.
    ends = 0.5 * 16 ** (np.arange(17) / 16)
    rates = 1 / ends[:-1] - 1 / ends[1:]
    expected = 0.5 / 16 + 0.5 * rates**1.5 / (rates**1.5).sum()
    np.testing.assert_allclose(shares, expected, rtol=0.12)
    again = type(model).from_config(model.get_config())
    assert again._adaptive.share == 0.5


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_a_share_out_of_its_range_is_refused(share):
    with pytest.raises(InputError, match="adaptive_draws from 0 to below 1"):
        Shrunk(share)
    with pytest.raises(InputError, match="adaptive"):
        BetaConfig(adaptive=share)


@pytest.mark.parametrize("share", [None, "half"])
def test_a_share_that_is_no_number_is_refused(share):
    with pytest.raises(InputError, match="adaptive_draws as a number"):
        Shrunk(share)


def test_terms_that_are_not_finite_are_no_part_of_the_means():
    # As half precision has them in steps that the scaling of the loss leaves
    # out; and those whose sum float32 does not hold.
    layer = AdaptiveDraws({"a": "t"}, 0.5)
    at = np.float32([0.01, 0.01, 0.1, 0.1, 0.2, 0.2])
    bad = np.float32([np.inf, 4, np.nan, -np.inf, 3e38, 3e38])
    layer.update({"a": at}, {"t": bad})
    expected = np.zeros(16)
    expected[[0, 3]] = 4, 1e30
    np.testing.assert_allclose(layer.get_weights()[0][0], expected, rtol=1e-6)
    assert np.isfinite(layer.shares()).all()
    layer.update({"a": at[:1]}, {"t": np.float32([2])})
    kept = 0.99 * 4 + 0.01 * 2
    np.testing.assert_allclose(layer.get_weights()[0][0, 0], kept, rtol=1e-6)


def test_draws_that_cannot_follow_are_refused():
    class Level(Shrunk):
        def loss_terms(self, x, y, outputs, loss_parameters):
            error = sum(outputs * v for v in loss_parameters.values())
            return {"fit": ops.square(error)}

    model = Level()
    model.compile("sgd")
    with pytest.raises(InputError, match="weight of a term among"):
        model.fit(X, X[:, 0], verbose=0)
    fixed = LossConditionalModel({"large": 1.0}, adaptive_draws=0.0)
    assert fixed._adaptive is None
    with pytest.raises(InputError, match="a weight with a LogUniform"):
        LossConditionalModel({"large": 1.0}, adaptive_draws=0.5)


def test_the_fixed_weights_of_a_study_draw_nothing():
    preset = get_preset("smoke").config
    settings = with_settings(preset, {"beta.adaptive": 0.5})
    family = family_for(settings)
    fixed = with_settings(settings, family.fixed(settings, {"beta": 4.0}))
    assert fixed.beta.values == (4.0,)
    assert fixed.beta.following == 0
