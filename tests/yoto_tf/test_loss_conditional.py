"""The method on models that are no VAEs, with several parameters."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from regression import DIRICHLET
from regression import MIDDLE
from regression import PARAMETERS
from regression import Regression
from regression import compiled
from regression import fixed
from regression import noiseless
from regression import repeated
from regression import terms_in_numpy

from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf import LossParameter
from yoto_tf import Uniform
from yoto_tf.layers import SplineFiLM


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def data():
    return noiseless()


@pytest.mark.slow
@pytest.mark.parametrize("loss_parameters", PARAMETERS, ids=["3", "simplex"])
def test_fit_lowers_the_loss(loss_parameters, data):
    model = compiled(loss_parameters=loss_parameters)
    before = model.evaluate(*data, batch_size=60, verbose=0)[0]
    model.fit(*repeated(data, 12), batch_size=20, verbose=0)
    assert model.evaluate(*data, batch_size=60, verbose=0)[0] < 0.7 * before


@pytest.mark.slow
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
        *((n, p) for n in ("geometric_mean", "sum") for p in (0.5, 1.0, 2.0)),
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss_parameters", [None, DIRICHLET], ids=["3", "simplex"]
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
