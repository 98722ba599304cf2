"""The method on models that are no VAEs, with several varying weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yoto_tf import Choice
from yoto_tf import Dirichlet
from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf.layers import FiLM
from yoto_tf.layers import SplineFiLM
from yoto_tf.models import load_model

FEATURES = 6


@keras.saving.register_keras_serializable("tests")
class Regression(LossConditionalModel):
    """A linear map whose coefficients are few (`l1`) or even (`smooth`)."""

    def __init__(self, loss_weights=None, **kwargs):
        if loss_weights is None:
            loss_weights = {
                "error": 1.0,
                "l1": LogUniform(0.01, 1.0),
                "smooth": LogUniform(0.01, 10.0),
            }
        super().__init__(loss_weights, **kwargs)
        self.start = keras.layers.Dense(8, activation="tanh")
        self.film = FiLM(8)
        self.end = keras.layers.Dense(FEATURES)

    def build(self, input_shape=None):
        k = (None, self.weight_distribution.num_coordinates)
        self.start.build(k)
        self.film.build((None, 8), k)
        self.end.build((None, 8))
        self.built = True

    def coefficients(self, loss_weights):
        c = self.coordinates(loss_weights)
        return self.end(self.film(self.start(c), c))

    def loss_terms(self, x, y, loss_weights, training=False):
        w = self.coefficients(loss_weights)
        return {
            "error": ops.square(ops.sum(x * w, -1) - y),
            "l1": ops.sum(ops.abs(w), -1),
            "smooth": ops.sum(ops.square(w[:, 1:] - w[:, :-1]), -1),
        }


MIDDLE = {"error": 1.0, "l1": 0.1, "smooth": 0.3}
DIRICHLET = Dirichlet({"error": 3.0, "l1": 1.0, "smooth": 1.0})
WEIGHTS = [None, DIRICHLET]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, FEATURES)).astype("float32")
    y = x @ np.linspace(-1, 2, FEATURES).astype("float32") + 0.5
    return x, y


def compiled(optimizer=None, **kwargs):
    """A built model that watches one weighting, ready to fit."""
    kwargs.setdefault("watched_weights", [MIDDLE])
    model = Regression(**kwargs)
    model.build()
    model.compile(optimizer or keras.optimizers.Adam(0.02))
    return model


def terms_in_numpy(model, x, y, loss_weights):
    """The terms, from the coefficients alone."""
    w = model.coefficients(loss_weights).numpy()
    return {
        "error": ((x * w).sum(1) - y) ** 2,
        "l1": np.abs(w).sum(1),
        "smooth": (np.diff(w, axis=1) ** 2).sum(1),
    }


def fixed(weights, num):
    return {n: np.full(num, v, "float32") for n, v in weights.items()}


def repeated(data, times):
    """Many steps in one epoch, which has a cost of its own."""
    return [np.concatenate([part] * times) for part in data]


@pytest.mark.parametrize("loss_weights", WEIGHTS, ids=["3", "simplex"])
def test_fit_lowers_the_loss(loss_weights, data):
    model = compiled(loss_weights=loss_weights)
    before = model.evaluate(*data, batch_size=60, verbose=0)[0]
    model.fit(*repeated(data, 12), batch_size=20, verbose=0)
    assert model.evaluate(*data, batch_size=60, verbose=0)[0] < 0.7 * before


def test_one_model_learns_to_trade_its_terms(data):
    model = compiled()
    model.fit(*repeated(data, 60), batch_size=20, verbose=0)
    l1 = [
        terms_in_numpy(model, *data, fixed({**MIDDLE, "l1": strength}, 60))[
            "l1"
        ].mean()
        for strength in (0.01, 1.0)
    ]
    assert l1[1] < l1[0] - 0.1


def test_weighting_is_per_example_and_the_mean_comes_last():
    rng = np.random.default_rng(0)
    model = Regression()
    names = model.weight_distribution.names
    terms = {n: rng.exponential(size=50).astype("float32") for n in names}
    # Large weights meet small terms: the products of means are far off.
    weights = {n: 1 / (0.01 + terms[n]) for n in names}
    expected = sum(weights[n] * terms[n] for n in names)
    result = model.weighted_loss(
        {n: tf.constant(t) for n, t in terms.items()}, weights
    )
    assert result.shape == (50,)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    products_of_means = sum(weights[n].mean() * terms[n].mean() for n in names)
    assert abs(products_of_means - expected.mean()) > 1


def test_train_step_reports_the_mean_of_the_weighted_terms(data):
    x, y = data
    drawn = Regression(seed=5).sample_loss_weights(60)
    # A rate of zero: the coefficients afterwards are those of the step.
    model = compiled(keras.optimizers.SGD(0.0), seed=5)
    logs = model.fit(x, y, batch_size=60, shuffle=False, verbose=0).history
    terms = terms_in_numpy(model, x, y, drawn)
    expected = np.mean(sum(np.asarray(drawn[n]) * terms[n] for n in terms))
    np.testing.assert_allclose(logs["loss"], [expected], rtol=1e-5)
    for name, term in terms.items():
        np.testing.assert_allclose(logs[name], [term.mean()], rtol=1e-5)


def test_train_step_follows_the_gradient_of_that_mean(data):
    x, y = data
    drawn = Regression(seed=5).sample_loss_weights(60)
    model = compiled(keras.optimizers.SGD(0.1), seed=5)
    before = model.end.bias.numpy()
    w = model.coefficients(drawn).numpy()
    weights = {n: np.asarray(v)[:, None] for n, v in drawn.items()}
    # The derivative by the bias is that by the coefficients, summed.
    slope = 2 * ((x * w).sum(1) - y)[:, None] * x * weights["error"]
    slope = slope + np.sign(w) * weights["l1"]
    steps = 2 * np.diff(w, axis=1) * weights["smooth"]
    slope[:, 1:] += steps
    slope[:, :-1] -= steps
    model.fit(x, y, batch_size=60, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        model.end.bias, before - 0.1 * slope.mean(0), rtol=1e-4, atol=1e-6
    )


def test_every_example_has_its_own_weights_and_every_step_new_ones():
    model = Regression(seed=1)
    first, second = (model.sample_loss_weights(64) for _ in range(2))
    for name in ("l1", "smooth"):
        assert len(np.unique(first[name])) == 64
        assert not np.allclose(first[name], second[name])


def test_a_batch_has_one_weight_where_that_is_asked_for():
    model = Regression(draw_per="batch")
    first, second = (model.sample_loss_weights(64) for _ in range(2))
    for name in ("l1", "smooth"):
        assert first[name].shape == (64,)
        assert len(np.unique(first[name])) == 1
        assert first[name][0] != second[name][0]


def test_the_seed_decides_the_draws():
    first = Regression(seed=1).sample_loss_weights(8)["l1"]
    same = Regression(seed=1).sample_loss_weights(8)["l1"]
    other = Regression(seed=2).sample_loss_weights(8)["l1"]
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("normalization", ["none", "geometric_mean", "sum"])
def test_normalization_divides_each_example_by_its_own(normalization, power):
    rng = np.random.default_rng(0)
    model = Regression(normalization=normalization, normalization_power=power)
    names = model.weight_distribution.names
    terms = {n: rng.normal(size=5).astype("float32") for n in names}
    weights = {n: rng.exponential(size=5).astype("float32") for n in names}
    divisor = {
        "none": np.ones(5),
        "geometric_mean": np.prod([weights[n] for n in names], axis=0)
        ** (1 / 3),
        "sum": np.sum([weights[n] for n in names], axis=0),
    }[normalization]
    expected = sum(weights[n] * terms[n] for n in names) / divisor**power
    result = model.weighted_loss(
        {n: tf.constant(t) for n, t in terms.items()}, weights
    )
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l1": tf.ones((4, 1))}, r"shape \(batch,\).*l1 with shape \(4, 1\)"),
        ({"l1": tf.ones(())}, r"shape \(batch,\).*l1 with shape \(\)"),
        ({"l2": tf.ones(4)}, r"\['error', 'l1', 'smooth'\].*'l2'"),
    ],
    ids=["column", "mean", "unknown"],
)
def test_terms_that_are_not_per_example_or_unknown_are_refused(change, message):
    model = Regression()
    terms = {n: tf.ones(4) for n in model.weight_distribution.names}
    weights = {n: np.ones(4, "float32") for n in terms}
    with pytest.raises(InputError, match=message):
        model.weighted_loss({**terms, **change}, weights)


def test_a_misspelt_weight_is_named_beside_the_terms(data):
    model = Regression({"error": 1.0, "l1": 0.5, "smoth": LogUniform(1, 2)})
    model.compile()
    with pytest.raises(InputError) as refused:
        model.fit(*data, verbose=0)
    assert str(refused.value) == (
        "expected loss_terms() to return the terms ['error', 'l1', 'smoth'], "
        "received: ['error', 'l1', 'smooth']; no term for the weight 'smoth', "
        "no weight for the term 'smooth'"
    )


def test_terms_that_are_no_dict_are_refused(data):
    class Pair(Regression):
        def loss_terms(self, *args, **kwargs):
            return tuple(super().loss_terms(*args, **kwargs).values())

    model = Pair()
    model.compile()
    with pytest.raises(InputError, match="to return a dict.*received: tuple"):
        model.fit(*data, verbose=0)


@pytest.mark.parametrize("loss_weights", WEIGHTS, ids=["3", "simplex"])
def test_xla_draws_the_same_weights_and_computes_the_same_losses(
    loss_weights, data
):
    logs = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = Regression(loss_weights, watched_weights=[MIDDLE], seed=1)
        model.build()
        model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)
        logs.append(
            model.fit(
                *data,
                batch_size=25,
                shuffle=False,
                validation_data=data,
                verbose=0,
            ).history
        )
    for name, values in logs[0].items():
        np.testing.assert_allclose(logs[1][name], values, rtol=1e-4)


def test_splines_that_clip_weights_onto_one_another_are_refused(data):
    class Splined(Regression):
        def __init__(self, ends, **kwargs):
            super().__init__(DIRICHLET, **kwargs)
            self.film = SplineFiLM(ends=ends)

    low, high = DIRICHLET.coordinate_ends
    assert low < -(3**0.5)
    assert high > 3**0.5
    model = Splined((-(3**0.5), 3**0.5))
    model.compile()
    with pytest.raises(
        InputError, match=rf"ends=\({low:.4g}, {high:.4g}\), received: spline"
    ):
        model.fit(*data, verbose=0)
    model = Splined(DIRICHLET.coordinate_ends)
    model.compile()
    model.fit(*data, verbose=0)


def test_a_missing_term_is_refused_in_fit(data):
    class Forgetful(Regression):
        def loss_terms(self, *args, **kwargs):
            terms = super().loss_terms(*args, **kwargs)
            del terms["l1"]
            return terms

    model = Forgetful()
    model.compile()
    with pytest.raises(InputError, match=r"received: \['error', 'smooth'\]"):
        model.fit(*data, verbose=0)


def test_a_model_without_loss_terms_says_so(data):
    model = LossConditionalModel({"a": 1.0})
    model.compile()
    with pytest.raises(NotImplementedError, match="must define loss_terms"):
        model.fit(*data, verbose=0)


def test_logged_loss_is_the_tracked_one_and_not_zero(data):
    model = compiled()
    logs = model.fit(*data, batch_size=20, verbose=0).history
    assert set(logs) == {"loss", "error", "l1", "smooth"}
    assert logs["loss"][0] > 0.1
    assert logs["loss"][0] == pytest.approx(float(model.loss_tracker.result()))
    assert [m.name for m in model.metrics].count("loss") == 1


def test_metrics_start_anew_with_every_epoch(data):
    drawn = []
    model = compiled(keras.optimizers.SGD(0.0), seed=5)
    logs = model.fit(*data, batch_size=60, epochs=2, verbose=0).history
    copy = Regression(seed=5)
    copy.build()
    copy.set_weights(model.get_weights())
    for _ in range(2):
        weights = copy.sample_loss_weights(60)
        drawn.append(terms_in_numpy(copy, *data, weights)["l1"].mean())
    np.testing.assert_allclose(logs["l1"], drawn, rtol=1e-5)
    assert drawn[0] != pytest.approx(drawn[1], rel=1e-4)


def test_evaluate_scores_the_watched_weights(data):
    x, y = data
    watched = [
        {"error": 1.0, "l1": 0.01, "smooth": 10.0},
        {"error": 1.0, "l1": 1.0, "smooth": 0.5},
    ]
    model = compiled(watched_weights=watched)
    # Batches of 25, 25 and 10.
    logs = model.evaluate(x, y, batch_size=25, verbose=0, return_dict=True)
    losses = []
    for weights, label in zip(watched, ("0.01_10", "1_0.5"), strict=True):
        terms = terms_in_numpy(model, x, y, fixed(weights, 60))
        losses.append(sum(weights[n] * terms[n].mean() for n in terms))
        for name, term in terms.items():
            assert logs.pop(f"{name}_at_{label}") == pytest.approx(
                term.mean(), rel=1e-5
            )
    assert logs == {"loss": pytest.approx(np.mean(losses), rel=1e-5)}


@pytest.mark.parametrize("loss_weights", WEIGHTS, ids=["3", "simplex"])
def test_evaluate_gives_the_same_numbers_on_every_call(loss_weights, data):
    model = compiled(loss_weights=loss_weights)
    first, second = (
        model.evaluate(*data, verbose=0, return_dict=True) for _ in range(2)
    )
    assert first == second


def test_default_watched_weights_cover_the_distribution():
    assert len(Regression().watched_weights) == 9
    assert len(Regression(DIRICHLET).watched_weights) == 3


def test_validation_in_fit_does_not_disturb_the_training_numbers(data):
    alone = compiled(seed=1).fit(*data, shuffle=False, verbose=0).history
    keras.utils.set_random_seed(0)
    watched = (
        compiled(seed=1)
        .fit(*data, shuffle=False, validation_data=data, verbose=0)
        .history
    )
    assert {k: watched[k] for k in alone} == alone
    assert "val_loss" in watched


@pytest.mark.parametrize(
    "argument", ["loss", "metrics", "loss_weights", "weighted_metrics"]
)
def test_compile_refuses_what_the_model_brings_itself(argument):
    with pytest.raises(InputError, match=f"compile\\({argument}=...\\)"):
        Regression().compile("adam", **{argument: ["mse"]})


def test_compile_refuses_a_loss_given_by_place():
    with pytest.raises(TypeError, match="positional"):
        Regression().compile("adam", "mse")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draw_per": "epoch"}, "draw_per.*example.*'epoch'"),
        ({"normalization": "max"}, "normalization.*geometric_mean.*'max'"),
        ({"loss_weights": [1.0]}, "dict or a Dirichlet"),
        ({"loss_weights": {}}, "at least one loss term"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Regression(**arguments)


def test_a_partial_last_batch_counts_by_its_examples(data):
    x, y = data
    model = compiled(keras.optimizers.SGD(0.0), seed=5)
    logs = model.fit(x, y, batch_size=50, shuffle=False, verbose=0).history
    copy = Regression(seed=5)
    copy.build()
    copy.set_weights(model.get_weights())
    losses = []
    for part in (slice(0, 50), slice(50, 60)):
        weights = copy.sample_loss_weights(len(y[part]))
        terms = terms_in_numpy(copy, x[part], y[part], weights)
        losses.append(sum(np.asarray(weights[n]) * terms[n] for n in terms))
    np.testing.assert_allclose(
        logs["loss"], [np.concatenate(losses).mean()], rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(60,), (60, 1)], ids=["flat", "column"])
def test_sample_weights_weight_the_loss_of_each_example(shape, data):
    x, y = data
    sample_weight = np.random.default_rng(1).exponential(size=60)
    model = compiled(keras.optimizers.SGD(0.0), seed=5)
    terms = terms_in_numpy(model, x, y, fixed(MIDDLE, 60))
    loss = sum(MIDDLE[n] * terms[n] for n in terms)
    logs = model.evaluate(
        x,
        y,
        batch_size=60,
        sample_weight=sample_weight.reshape(shape),
        verbose=0,
        return_dict=True,
    )
    np.testing.assert_allclose(
        logs["loss"], np.mean(sample_weight * loss), rtol=1e-5
    )
    drawn = Regression(seed=5).sample_loss_weights(60)
    terms = terms_in_numpy(model, x, y, drawn)
    loss = sum(np.asarray(drawn[n]) * terms[n] for n in terms)
    logs = model.fit(
        x,
        y,
        batch_size=60,
        sample_weight=sample_weight.reshape(shape),
        shuffle=False,
        verbose=0,
    ).history
    np.testing.assert_allclose(
        logs["loss"], [np.mean(sample_weight * loss)], rtol=1e-5
    )


def test_a_weight_that_warms_up_rises_linearly_to_what_was_drawn(data):
    model = compiled(
        # A rate of 0: the terms stay, what changes is the weight.
        keras.optimizers.SGD(0.0),
        loss_weights={"error": 1.0, "l1": Choice([0.5]), "smooth": 2.0},
        watched_weights=[{"error": 1.0, "l1": 0.5, "smooth": 2.0}],
        warmup_steps={"l1": 4},
    )
    scored = model.evaluate(*data, verbose=0, return_dict=True)
    terms = {n: scored[f"{n}_at_0.5"] for n in ("error", "l1", "smooth")}
    rest = terms["error"] + 2 * terms["smooth"]
    for share in (0.25, 0.5, 0.75, 1.0, 1.0):
        logs = model.fit(*data, batch_size=60, verbose=0).history
        expected = rest + share * 0.5 * terms["l1"]
        np.testing.assert_allclose(logs["loss"], [expected], rtol=1e-5)
    # Scores are under the full weight, whatever the step.
    np.testing.assert_allclose(scored["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("draw_per", ["example", "batch"])
def test_training_begins_with_the_lead_alone(data, draw_per):
    lead = LogUniform(0.01, 1.0, lead=0.1, lead_steps=2, lead_share=0.0)
    model = compiled(
        loss_weights={"error": 1.0, "l1": lead, "smooth": 2.0},
        draw_per=draw_per,
        seed=2,
    )
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    seen = []
    terms = model.loss_terms
    model.loss_terms = lambda x, y, weights, training: (
        seen.append(np.log2(weights["l1"] / 0.1))
        or terms(x, y, weights, training)
    )
    model.fit(*data, batch_size=10, verbose=0)
    assert len(seen) == 6
    farthest = [np.abs(drawn).max() for drawn in seen]
    assert max(farthest[:2]) <= 0.5 < min(farthest[2:])


@pytest.mark.parametrize("steps", [{"l2": 3}, {"l1": -1}])
def test_a_warmup_of_unknown_terms_or_below_zero_is_refused(steps):
    with pytest.raises(InputError, match=r"among \['error', 'l1', 'smooth'\]"):
        Regression(warmup_steps=steps)


def test_a_saved_model_goes_on_as_the_one_in_memory(data, tmp_path):
    model = compiled(seed=3, normalization="sum", normalization_power=0.5)
    model.fit(*data, batch_size=20, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert type(loaded) is Regression
    assert loaded.get_config() == model.get_config()
    assert int(loaded.optimizer.iterations) == 6
    for ours, theirs in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    logs = [
        m.fit(*data, batch_size=20, epochs=2, shuffle=False, verbose=0).history
        for m in (model, loaded)
    ]
    assert logs[0] == logs[1]
    for ours, theirs in zip(
        model.get_weights(), loaded.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_can_be_saved_before_it_is_compiled(tmp_path):
    model = Regression(DIRICHLET, draw_per="batch")
    model.build()
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    assert loaded.get_config() == model.get_config()
    weights = fixed({"error": 0.5, "l1": 0.2, "smooth": 0.3}, 2)
    np.testing.assert_array_equal(
        loaded.coefficients(weights), model.coefficients(weights)
    )


def test_files_that_hold_no_such_model_are_refused(tmp_path):
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(InputError, match="loss-conditional.*Sequential"):
        load_model(tmp_path / "other.keras")
    content = (tmp_path / "other.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="half.keras, which cannot be read"):
        load_model(tmp_path / "half.keras")


def test_only_the_tensorflow_backend_is_accepted(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="KERAS_BACKEND='jax'"):
        Regression()


@pytest.mark.parametrize(
    ("watched", "sentence"),
    [
        ([{"error": 1.0, "l2": 1.0}], "to name .*'l1'.*received: .*'l2'"),
        (
            [{"error": e, "l1": 0.1, "smooth": 0.1} for e in (1.0, 2.0)],
            "that differ in the weights that vary",
        ),
    ],
)
def test_watched_weights_that_cannot_be_told_apart_are_refused(
    watched, sentence
):
    with pytest.raises(InputError, match=sentence):
        Regression(watched_weights=watched)
