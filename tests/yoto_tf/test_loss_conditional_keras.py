"""What Keras users expect of `compile`, `fit`, `evaluate` and files, on a model
of three terms that is no VAE."""

import keras
import numpy as np
import pytest
from regression import DIRICHLET
from regression import MIDDLE
from regression import PARAMETERS
from regression import Regression
from regression import compiled
from regression import fixed
from regression import noiseless
from regression import terms_in_numpy

from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import Mixture
from yoto_tf import Uniform
from yoto_tf import near
from yoto_tf.models import load_model


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def data():
    return noiseless()


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
            "above 0 to 2.*2.5",
        ),
        # Without effect, as no normalization.
        ({"normalization": "sum", "normalization_power": 0}, "above 0.*0.0"),
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


@pytest.mark.slow
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
