"""The method on models that are no VAEs, with several parameters."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yoto_tf import Dirichlet
from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf import LossParameter
from yoto_tf import Mixture
from yoto_tf import Uniform
from yoto_tf import near
from yoto_tf.layers import FiLM
from yoto_tf.layers import SplineFiLM
from yoto_tf.models import load_model

FEATURES = 6


@keras.saving.register_keras_serializable("tests")
class Regression(LossConditionalModel):
    """A linear map whose coefficients are few (`l1`) or even (`smooth`)."""

    def __init__(self, loss_parameters=None, **kwargs):
        if loss_parameters is None:
            loss_parameters = {
                "error": 1.0,
                "l1": LogUniform(0.01, 1.0),
                "smooth": LogUniform(0.01, 10.0),
            }
        super().__init__(loss_parameters, **kwargs)
        self.start = keras.layers.Dense(8, activation="tanh")
        self.film = FiLM(8)
        self.end = keras.layers.Dense(FEATURES)

    def build(self, *_):
        k = (None, self.loss_parameters.num_coordinates)
        self.start.build(k)
        self.film.build((None, 8), k)
        self.end.build((None, 8))
        self.built = True

    def coefficients(self, loss_parameters):
        c = self.coordinates(loss_parameters)
        return self.end(self.film(self.start(c), c))

    def call(self, x, loss_parameters):
        w = self.coefficients(loss_parameters)
        return {"y": ops.sum(x * w, -1), "w": w}

    def loss_terms(self, x, y, outputs, loss_parameters):
        w = outputs["w"]
        return {
            "error": ops.square(outputs["y"] - y),
            "l1": ops.sum(ops.abs(w), -1),
            "smooth": ops.sum(ops.square(w[:, 1:] - w[:, :-1]), -1),
        }


MIDDLE = {"error": 1.0, "l1": 0.1, "smooth": 0.3}
DIRICHLET = Dirichlet({"error": 3.0, "l1": 1.0, "smooth": 1.0})
PARAMETERS = [None, DIRICHLET]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, FEATURES)).astype("float32")
    y = x @ np.linspace(-1, 2, FEATURES).astype("float32") + 0.5
    return x, y


def compiled(optimizer=None, run_eagerly=True, **kwargs):
    """A model that watches one weighting, ready to fit.

    By default without a graph, which takes as long as a hundred such steps.
    """
    if kwargs.get("loss_parameters") is None:
        kwargs.setdefault("watched", [MIDDLE])
    model = Regression(**kwargs)
    model.build()
    model.compile(
        optimizer or keras.optimizers.Adam(0.02), run_eagerly=run_eagerly
    )
    return model


def terms_in_numpy(model, x, y, loss_parameters):
    """The terms, from the coefficients alone."""
    w = model.coefficients(loss_parameters).numpy()
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


@pytest.mark.parametrize("loss_parameters", PARAMETERS, ids=["3", "simplex"])
def test_fit_lowers_the_loss(loss_parameters, data):
    model = compiled(loss_parameters=loss_parameters)
    before = model.evaluate(*data, batch_size=60, verbose=0)[0]
    model.fit(*repeated(data, 12), batch_size=20, verbose=0)
    assert model.evaluate(*data, batch_size=60, verbose=0)[0] < 0.7 * before


def test_one_model_learns_to_trade_its_terms(data):
    model = compiled(run_eagerly=False)
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
    names = model.loss_parameters.names
    terms = {n: rng.exponential(size=50).astype("float32") for n in names}
    # Large weights meet small terms: the products of means are far off.
    weights = {n: 1 / (0.01 + terms[n]) for n in names}
    expected = sum(weights[n] * terms[n] for n in names)
    result = model.objective(
        {n: tf.constant(t) for n, t in terms.items()}, weights
    )
    assert result.shape == (50,)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    products_of_means = sum(weights[n].mean() * terms[n].mean() for n in names)
    assert abs(products_of_means - expected.mean()) > 1


def test_train_step_reports_the_mean_of_the_weighted_terms(data):
    x, y = data
    drawn = Regression(seed=5).sample_loss_parameters(60)
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
    drawn = Regression(seed=5).sample_loss_parameters(60)
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
    first, second = (model.sample_loss_parameters(64) for _ in range(2))
    for name in ("l1", "smooth"):
        assert len(np.unique(first[name])) == 64
        assert not np.allclose(first[name], second[name])


def test_a_batch_has_one_weight_where_that_is_asked_for():
    model = Regression(group_size=None)
    first, second = (model.sample_loss_parameters(64) for _ in range(2))
    for name in ("l1", "smooth"):
        assert first[name].shape == (64,)
        assert len(np.unique(first[name])) == 1
        assert first[name][0] != second[name][0]


def test_the_seed_decides_the_draws():
    first = Regression(seed=1).sample_loss_parameters(8)["l1"]
    same = Regression(seed=1).sample_loss_parameters(8)["l1"]
    other = Regression(seed=2).sample_loss_parameters(8)["l1"]
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


@pytest.mark.parametrize(
    ("normalization", "power"),
    [
        ("none", 1.0),
        *(
            (n, p)
            for n in ("geometric_mean", "sum")
            for p in (0.0, 0.5, 1.0, 2.0)
        ),
    ],
)
def test_normalization_divides_each_example_by_its_own(normalization, power):
    rng = np.random.default_rng(0)
    model = Regression(normalization=normalization, normalization_power=power)
    names = model.loss_parameters.names
    terms = {n: rng.normal(size=5).astype("float32") for n in names}
    weights = {n: rng.exponential(size=5).astype("float32") for n in names}
    divisor = {
        "none": np.ones(5),
        "geometric_mean": np.prod([weights[n] for n in names], axis=0)
        ** (1 / 3),
        "sum": np.sum([weights[n] for n in names], axis=0),
    }[normalization]
    expected = sum(weights[n] * terms[n] for n in names) / divisor**power
    result = model.objective(
        {n: tf.constant(t) for n, t in terms.items()}, weights
    )
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (lambda t: t[:, None], r"shape \(batch,\).*l1 with shape \(60, 1\)"),
        (ops.mean, r"shape \(batch,\).*l1 with shape \(\)"),
        (lambda t: t[:2], r"shape \(batch,\).*l1 with shape \(2,\)"),
    ],
    ids=["column", "mean", "few"],
)
def test_terms_that_are_not_per_example_are_refused(term, message, data):
    class Wrong(Regression):
        def loss_terms(self, *args):
            terms = super().loss_terms(*args)
            return {**terms, "l1": term(terms["l1"])}

    model = Wrong()
    model.compile()
    for ask in (model.fit, model.evaluate):
        with pytest.raises(InputError, match=message):
            ask(*data, batch_size=60, verbose=0)


def test_a_term_without_a_parameter_has_the_weight_one():
    terms = {n: tf.constant([2.0, 3.0]) for n in ("error", "other")}
    weights = {"error": np.float32([0.5, 10.0])}
    loss = Regression().objective(terms, weights)
    np.testing.assert_allclose(loss, [0.5 * 2 + 2, 10 * 3 + 3])


def test_weights_that_a_normalization_cannot_divide_by_are_refused(data):
    zero = {"error": Uniform(0.0, 1.0), "l1": 1.0, "smooth": 1.0}
    model = Regression(zero, normalization="geometric_mean")
    model.compile()
    with pytest.raises(InputError, match="above 0.*error between 0 and 1"):
        model.fit(*data, verbose=0)
    model = Regression(zero)
    model.compile(run_eagerly=True)
    logs = model.fit(*data, verbose=0).history
    assert np.isfinite(logs["loss"]).all()


@pytest.mark.parametrize("form", ["weights", "term"])
def test_a_misspelt_name_is_told_beside_the_terms(form, data):
    class Misspelt(Regression):
        def loss_terms(self, *args):
            terms = super().loss_terms(*args)
            if form == "term":
                terms["smoth"] = terms.pop("smooth")
            return terms

    wrong, right = "smoth", "smooth"
    if form == "term":
        wrong, right = right, wrong
    model = Misspelt({"error": 1.0, "l1": 0.5, wrong: LogUniform(1, 2)})
    model.compile()
    with pytest.raises(InputError) as refused:
        model.fit(*data, verbose=0)
    assert str(refused.value) == (
        "expected every loss parameter to be the weight of a term among "
        f"['error', 'l1', '{right}'] or to be read by loss_terms(), "
        f"received: '{wrong}', which is neither"
    )


@pytest.mark.parametrize(
    "copy",
    [
        lambda p: {**p},
        dict,
        lambda p: p.copy(),
        lambda p: p | {},
        lambda p: {n: p[n] for n in p},
        lambda p: dict(p.items()),
    ],
    ids=["stars", "dict", "copy", "union", "each", "items"],
)
def test_a_term_that_copies_the_parameters_has_read_them(copy, data):
    class Copying(Regression):
        def loss_terms(self, x, y, outputs, loss_parameters):
            given = copy(loss_parameters)
            return {"all": given["error"] * given["l1"] * given["smooth"]}

    model = Copying()
    model.compile(run_eagerly=True)
    values = model.evaluate(
        *data, loss_parameters=MIDDLE, return_dict=True, verbose=0
    )
    assert values["all"] == pytest.approx(0.03)


def test_terms_for_training_have_the_names_of_the_others(data):
    class Changed(Regression):
        def training_terms(self, terms, *args):
            return {**terms, "l2": terms["l1"]}

    model = Changed()
    model.compile()
    with pytest.raises(InputError, match=r"training_terms\(\).*'l2'"):
        model.fit(*data, verbose=0)


def test_terms_that_are_no_dict_are_refused(data):
    class Pair(Regression):
        def loss_terms(self, *args):
            return tuple(super().loss_terms(*args).values())

    model = Pair()
    model.compile()
    with pytest.raises(InputError, match=r"return a dict.*received: \("):
        model.fit(*data, verbose=0)


@pytest.mark.parametrize(
    "loss_parameters",
    [None, pytest.param(DIRICHLET, marks=pytest.mark.slow)],
    ids=["3", "simplex"],
)
def test_xla_draws_the_same_weights_and_computes_the_same_losses(
    loss_parameters, data
):
    logs = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = Regression(loss_parameters, seed=1)
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


class Thousands(LossParameter):
    """A user's own, which says nothing of its `coordinate_ends`."""

    def quantile(self, uniform, step=None):
        return 1000 + 1000 * uniform

    def grid(self, num):
        return np.linspace(1000, 2000, num)

    def _ranges(self):
        return [(1000, 2000)]

    def coordinate(self, values):
        return ops.expand_dims(values / 1000, -1)

    def describe(self):
        return "between 1000 and 2000"


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "parameters",
    [DIRICHLET, {"error": 1.0, "l1": Thousands(), "smooth": 1.0}],
    ids=["dirichlet", "own"],
)
def test_splines_that_clip_values_onto_one_another_are_refused(
    data, parameters, jit_compile
):
    class Splined(Regression):
        def __init__(self, ends, **kwargs):
            super().__init__(parameters, **kwargs)
            self.film = SplineFiLM(ends=ends)

    model = Splined((-(3**0.5), 3**0.5))
    low, high = model.loss_parameters.coordinate_ends
    assert high > 3**0.5
    model.compile(jit_compile=jit_compile)
    with pytest.raises(
        InputError,
        match=rf"^expected .* ends=\({low:.4g}, {high:.4g}\), received: spline",
    ):
        model.fit(*data, verbose=0)
    model = Splined((low, high))
    model.compile(run_eagerly=True)
    model.fit(*data, verbose=0)


def test_a_parameter_between_two_knots_of_anothers_is_refused(data):
    """The hats of `smooth` would differ by 1.4 % from end to end."""

    class Splined(Regression):
        def __init__(self, standardize):
            wide = Uniform(0.0, 1000.0, standardize=standardize)
            weights = {"error": 1.0, "l1": wide, "smooth": Uniform(0.1, 10.0)}
            super().__init__(weights)
            self.film = SplineFiLM(ends=self.loss_parameters.coordinate_ends)

    model = Splined(standardize=False)
    model.compile(run_eagerly=True)
    with pytest.raises(InputError, match=r"received: smooth from -1\.732 to 1"):
        model.fit(*data, verbose=0)
    model = Splined(standardize=True)
    model.compile(run_eagerly=True)
    model.fit(*data, verbose=0)


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_term_that_is_a_mean_is_not_broadcast(data, method, jit_compile):
    class Mean(Regression):
        def loss_terms(self, *args, **kwargs):
            terms = super().loss_terms(*args, **kwargs)
            return {**terms, "l1": ops.mean(terms["l1"], keepdims=True)}

    model = Mean()
    model.compile(jit_compile=jit_compile)
    with pytest.raises(InputError, match=r"^expected .* l1 with shape \(1,\)"):
        getattr(model, method)(*data, verbose=0)
    if method == "evaluate":
        return
    # The mean of one example is its own.
    model = Mean()
    model.compile(jit_compile=jit_compile)
    model.fit(*(part[:1] for part in data), batch_size=1, verbose=0)


def test_a_model_without_its_methods_says_so(data):
    model = LossConditionalModel({"a": 1.0})
    model.compile()
    with pytest.raises(NotImplementedError, match="must define call"):
        model.fit(*data, verbose=0)

    class Half(LossConditionalModel):
        def call(self, x, loss_parameters):
            return x

    model = Half({"a": 1.0})
    model.compile()
    with pytest.raises(NotImplementedError, match="must define.*loss_terms"):
        model.fit(*data, verbose=0)


def test_logged_loss_is_the_tracked_one_and_not_zero(data):
    model = compiled()
    logs = model.fit(*data, batch_size=20, verbose=0).history
    assert set(logs) == {"loss", "error", "l1", "smooth"}
    assert logs["loss"][0] > 0.1
    (tracked,) = (m for m in model.metrics if m.name == "loss")
    assert logs["loss"][0] == pytest.approx(float(tracked.result()))


def test_metrics_start_anew_with_every_epoch(data):
    drawn = []
    model = compiled(keras.optimizers.SGD(0.0), seed=5)
    logs = model.fit(*data, batch_size=60, epochs=2, verbose=0).history
    copy = Regression(seed=5)
    copy.build()
    copy.set_weights(model.get_weights())
    for _ in range(2):
        weights = copy.sample_loss_parameters(60)
        drawn.append(terms_in_numpy(copy, *data, weights)["l1"].mean())
    np.testing.assert_allclose(logs["l1"], drawn, rtol=1e-5)
    assert drawn[0] != pytest.approx(drawn[1], rel=1e-4)


def test_evaluate_scores_the_watched_values(data):
    x, y = data
    watched = [
        {"error": 1.0, "l1": 0.01, "smooth": 10.0},
        {"error": 1.0, "l1": 1.0, "smooth": 0.5},
    ]
    model = compiled(watched=watched)
    # Batches of 25, 25 and 10.
    logs = model.evaluate(x, y, batch_size=25, verbose=0, return_dict=True)
    losses = []
    for weights, label in zip(
        watched, ("l1=0.01,smooth=10", "l1=1,smooth=0.5"), strict=True
    ):
        terms = terms_in_numpy(model, x, y, fixed(weights, 60))
        losses.append(sum(weights[n] * terms[n].mean() for n in terms))
        for name, term in terms.items():
            assert logs.pop(f"{name}_at_{label}") == pytest.approx(
                term.mean(), rel=1e-5
            )
    assert logs == {"loss": pytest.approx(np.mean(losses), rel=1e-5)}


@pytest.mark.parametrize("loss_parameters", PARAMETERS, ids=["3", "simplex"])
def test_evaluate_gives_the_same_numbers_on_every_call(loss_parameters, data):
    model = compiled(loss_parameters=loss_parameters)
    first, second = (
        model.evaluate(*data, verbose=0, return_dict=True) for _ in range(2)
    )
    assert first == second


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


@pytest.mark.parametrize("argument", ["loss", "loss_weights"])
def test_compile_refuses_what_the_model_brings_itself(argument):
    with pytest.raises(InputError, match=f"compile\\({argument}=...\\)"):
        Regression().compile("adam", **{argument: ["mse"]})


def test_compile_refuses_a_loss_given_by_place():
    with pytest.raises(TypeError, match="positional"):
        Regression().compile("adam", "mse")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"group_size": 0},
            "group_size as a whole .*of 1 or more.*=0",
        ),
        ({"normalization": "max"}, "normalization.*geometric_mean.*'max'"),
        ({"normalization_power": 0.5}, "0.5, normalization='none'"),
        (
            {"normalization": "sum", "normalization_power": 2.5},
            "between 0 and 2.*2.5",
        ),
        ({"loss_parameters": [1.0]}, "dict or a Dirichlet"),
        ({"loss_parameters": {}}, "one or more loss parameters"),
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
        weights = copy.sample_loss_parameters(len(y[part]))
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
    drawn = Regression(seed=5).sample_loss_parameters(60)
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
    # The range is as good as one value, to the network too.
    smooth = Uniform(2.0, 2.001, standardize=False)
    model = compiled(
        # A rate of 0: the terms stay, what changes is the weight.
        keras.optimizers.SGD(0.0),
        loss_parameters={"error": 1.0, "l1": 0.5, "smooth": smooth},
        watched=[{"smooth": 2.0}],
        warm_up={"l1": 0.4},
    )
    scored = model.evaluate(*data, verbose=0, return_dict=True)
    terms = {n: scored[f"{n}_at_smooth=2"] for n in ("error", "l1", "smooth")}
    rest = terms["error"] + 2 * terms["smooth"]
    # Ten steps, of which it takes four; a second `fit` begins none again.
    logs = model.fit(*data, batch_size=60, epochs=10, verbose=0).history
    shares = np.array([0.25, 0.5, 0.75, *7 * [1.0]])
    expected = rest + shares * 0.5 * terms["l1"]
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-3)
    logs = model.fit(*data, batch_size=60, epochs=50, verbose=0).history
    expected = rest + 0.5 * terms["l1"]
    np.testing.assert_allclose(logs["loss"], 50 * [expected], rtol=1e-3)
    # Scores are under the full weight, whatever the step.
    np.testing.assert_allclose(scored["loss"], expected, rtol=1e-3)


@pytest.mark.parametrize("group_size", [1, 5, None])
def test_training_begins_with_a_part_alone(data, group_size):
    wide = LogUniform(0.01, 1.0)
    lead = Mixture(wide, [([(1, 1.0), (2, 0.0)], near(wide, 0.1, 1))])
    model = compiled(
        loss_parameters={"error": 1.0, "l1": lead, "smooth": 2.0},
        group_size=group_size,
        seed=2,
    )
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    seen = []
    call = model.call
    model.call = lambda x, values: (
        seen.append(np.log2(values["l1"] / 0.1)) or call(x, values)
    )
    model.fit(*data, batch_size=10, verbose=0)
    assert len(seen) == 6
    farthest = [np.abs(drawn).max() for drawn in seen]
    assert max(farthest[:2]) <= 0.5
    assert max(farthest[2:]) > 0.5


def test_a_warm_up_of_a_term_that_is_not_there_is_refused(data):
    model = compiled(warm_up={"l2": 0.1})
    with pytest.raises(InputError, match=r"\['error', 'l1', 'smooth'\].*'l2'"):
        model.fit(*data, verbose=0)


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
    model = Regression(DIRICHLET, group_size=None)
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
        ([{"error": 1.0, "l2": 1.0}], r"\['error', 'l1', 'smooth'\].*'l2'"),
        ([{"l1": 2.0}], "l1 between 0.01 and 1, received: l1=2"),
        ([{"l1": [0.1, 0.2]}], r"expected l1 as a number.*\(2,\)"),
        (
            [{"l1": 0.1, "smooth": s} for s in (0.1, 0.1 + 1e-9)],
            "that differ in the parameters that vary",
        ),
    ],
)
def test_watched_values_that_cannot_be_are_refused(watched, sentence):
    with pytest.raises(InputError, match=sentence):
        Regression(watched=watched)
