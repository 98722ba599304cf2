"""The contract: `call(x, loss_parameters)` and pure, per-example terms."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method.dirichlet import Dirichlet
from yoto_tf.method.model import LossConditionalModel
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform
from yoto_tf.method.precision import default_policy

NUM, FEATURES = 48, 3


@keras.saving.register_keras_serializable("tests")
class Line(LossConditionalModel):
    """A layer that is built on first use; `size` is a weight."""

    def __init__(self, loss_parameters=None, **kwargs):
        super().__init__(
            loss_parameters or {"size": LogUniform(0.01, 1.0)}, **kwargs
        )
        self.net = keras.layers.Dense(1)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        return self.net(ops.concatenate([x, told], -1))[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {"error": ops.square(outputs - y), "size": ops.abs(outputs)}


@keras.saving.register_keras_serializable("tests")
class Quantile(Line):
    """The level of a quantile is a parameter that the term reads."""

    def loss_terms(self, x, y, outputs, loss_parameters):
        level = loss_parameters["level"]
        error = y - outputs
        return {"pinball": ops.maximum(level * error, (level - 1) * error)}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUM, FEATURES)).astype("float32")
    return x, x[:, 0] + 0.5


@pytest.fixture(scope="module")
def model(data):
    """A trained one; tests must not train it."""
    keras.utils.set_random_seed(0)
    made = Line(seed=1)
    made.compile(keras.optimizers.Adam(0.05), metrics=["mae"])
    made.fit(*data, batch_size=20, epochs=2, verbose=0)
    return made


def by_hand(model, x, size):
    """The outputs, from the weights alone."""
    kernel, bias = model.get_weights()
    middle = (np.log(0.01) + np.log(1.0)) / 2
    deviation = (np.log(1.0) - np.log(0.01)) / np.sqrt(12)
    told = (np.log(np.broadcast_to(size, len(x))) - middle) / deviation
    return x @ kernel[:FEATURES, 0] + told * kernel[FEATURES, 0] + bias[0]


@pytest.mark.parametrize("size", [0.05, np.geomspace(0.01, 1.0, NUM)])
def test_predict_takes_a_number_or_one_per_example(model, data, size):
    found = model.predict(
        data[0], batch_size=20, loss_parameters={"size": size}, verbose=0
    )
    expected = by_hand(model, data[0], size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    called = model(data[0], {"size": size})
    np.testing.assert_allclose(called, expected, rtol=1e-4, atol=1e-5)


def test_without_a_value_it_is_the_default(model, data):
    default = model.loss_parameters.defaults["size"]
    assert default == pytest.approx(0.1)
    np.testing.assert_allclose(
        model.predict(data[0], verbose=0),
        by_hand(model, data[0], default),
        rtol=1e-4,
        atol=1e-5,
    )


class Batches(keras.utils.PyDataset):
    def __init__(self, data):
        super().__init__()
        self.data = data

    @property
    def num_batches(self):
        return 3

    def __getitem__(self, index):
        rows = slice(index * 16, (index + 1) * 16)
        return tuple(part[rows] for part in self.data)


def sources(data):
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(16)
    return {
        "arrays": data,
        "dataset": (dataset,),
        "py_dataset": (Batches(data),),
        "generator": ((Batches(data)[i] for i in range(3)),),
    }


@pytest.mark.parametrize(
    "kind", ["arrays", "dataset", "py_dataset", "generator"]
)
def test_evaluate_scores_what_is_asked_for_whatever_the_data(model, data, kind):
    scores = model.evaluate(
        *sources(data)[kind],
        loss_parameters={"size": 0.02},
        # Keras warns of a generator that ends.
        steps=3 if kind == "generator" else None,
        return_dict=True,
        verbose=0,
    )
    outputs = by_hand(model, data[0], 0.02)
    error, size = (outputs - data[1]) ** 2, np.abs(outputs)
    expected = {
        "loss": (error + 0.02 * size).mean(),
        "error": error.mean(),
        "size": size.mean(),
        "mae": np.abs(outputs - data[1]).mean(),
    }
    assert scores == pytest.approx(expected, rel=1e-4)


def test_data_may_bring_its_own_values(model, data):
    sizes = np.geomspace(0.01, 1.0, NUM).astype("float32")
    x = {"inputs": data[0], "loss_parameters": {"size": sizes}}
    expected = by_hand(model, data[0], sizes)
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(20)
    for given in (x, dataset):
        np.testing.assert_allclose(
            model.predict(given, verbose=0), expected, rtol=1e-4, atol=1e-5
        )
    with pytest.raises(InputError, match="received: both"):
        model.predict(x, loss_parameters={"size": 0.1})


def test_validation_scores_a_few_values_under_names_of_their_own(model, data):
    scores = model.evaluate(*data, return_dict=True, verbose=0)
    for size in (0.01, 0.1, 1.0):
        outputs = by_hand(model, data[0], size)
        ending = f"at_size={size:g}"
        assert scores[f"size_{ending}"] == pytest.approx(
            np.abs(outputs).mean(), rel=1e-4
        )
        assert scores[f"mae_{ending}"] == pytest.approx(
            np.abs(outputs - data[1]).mean(), rel=1e-4
        )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"size": 2.0}, "expected size between 0.01 and 1, received: size=2"),
        ({"size": float("nan")}, "received: size=nan"),
        ({"sise": 0.1}, r"among \['size'\], received: 'sise'"),
        ({"size": [0.1, 0.2]}, r"one per example, shape \(48,\)"),
        ({"size": "big"}, "to be numbers"),
        (0.1, "to be a dict"),
    ],
)
def test_what_was_not_trained_is_refused(model, data, asked, sentence):
    for ask in (
        lambda: model.predict(data[0], loss_parameters=asked),
        lambda: model.evaluate(*data, loss_parameters=asked),
        lambda: model(data[0], asked),
    ):
        with pytest.raises(InputError, match=sentence):
            ask()


def test_a_parameter_that_no_term_reads_is_refused(data):
    wrong = Line({"sise": LogUniform(0.1, 1.0)})
    wrong.compile()
    with pytest.raises(InputError, match=r"\['error', 'size'\].*'sise'"):
        wrong.fit(*data, verbose=0)


def test_a_parameter_may_be_read_by_a_term(data):
    model = Quantile({"level": Uniform(0.05, 0.95)}, seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(*data, verbose=0)
    scores = model.evaluate(
        *data, loss_parameters={"level": 0.9}, return_dict=True, verbose=0
    )
    error = data[1] - model.predict(
        data[0], loss_parameters={"level": 0.9}, verbose=0
    )
    expected = np.where(error > 0, 0.9 * error, -0.1 * error).mean()
    assert scores["pinball"] == pytest.approx(expected, rel=1e-4)


def test_layers_built_on_first_use_come_back_with_their_weights(
    model, data, tmp_path
):
    model.save(tmp_path / "line.keras")
    loaded = keras.models.load_model(tmp_path / "line.keras")
    np.testing.assert_array_equal(
        loaded.predict(data[0], verbose=0), model.predict(data[0], verbose=0)
    )
    model.save_weights(tmp_path / "line.weights.h5")
    copy = keras.models.clone_model(model)
    copy(data[0][:2])
    copy.load_weights(tmp_path / "line.weights.h5")
    np.testing.assert_array_equal(copy(data[0]), model(data[0]))


def test_neighbours_of_a_group_share_a_draw():
    drawn = Line(group_size=4, seed=0).sample_loss_parameters(12)["size"]
    groups = np.asarray(drawn).reshape(3, 4)
    assert (groups == groups[:, :1]).all()
    assert len(np.unique(groups[:, 0])) == 3
    one = Line(group_size=None, seed=0).sample_loss_parameters(5)["size"]
    assert len(np.unique(one)) == 1


@pytest.mark.parametrize("num", [3, 8, 10])
def test_a_term_of_several_examples_is_that_of_its_group(num):
    values = np.random.default_rng(0).normal(size=(num, 2)).astype("float32")
    found = Line(group_size=4).per_group(
        lambda v: ops.sum(ops.var(v, axis=1), -1), tf.constant(values)
    )
    size = min(4, num)
    starts = [min(i, num - size) for i in range(0, num, 4)]
    groups = [values[s : s + size].var(0).sum() for s in starts]
    np.testing.assert_allclose(
        found, [groups[i // 4] for i in range(num)], rtol=1e-5
    )


def test_a_term_of_several_examples_needs_groups_of_several():
    # Of one example a variance or a total correlation is 0, whatever the
    # model learns, and its knob would do nothing.
    with pytest.raises(InputError, match="2 or more .* group_size=1"):
        Line().per_group(lambda v: v[:, 0], tf.ones((3, 1)))


@pytest.mark.parametrize("size", [0, 2.7, "4", True])
def test_a_group_is_of_a_whole_number_of_examples(size):
    with pytest.raises(InputError, match="group_size"):
        Line(group_size=size)


@pytest.mark.parametrize("warm_up", [0.1, ["error"], {"error": 2}])
def test_a_warm_up_is_a_share_of_the_run_by_term(warm_up):
    with pytest.raises(InputError, match="warm_up"):
        Line(warm_up=warm_up)


def test_a_batch_that_is_no_multiple_of_the_group_is_refused(data):
    model = Line(group_size=5)
    model.compile()
    with pytest.raises(InputError, match="multiple of group_size=5"):
        model.fit(*data, batch_size=16, verbose=0)


def test_the_older_form_is_refused():
    class Old(Line):
        def loss_terms(self, x, y, loss_weights, training=False):
            return {}

    with pytest.raises(InputError, match=r"loss_terms\(x, y, outputs"):
        Old()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_terms_and_losses_are_float32_or_wider(data, policy):
    with default_policy(policy):
        model = Line(seed=0)
        model.compile(keras.optimizers.SGD(0.01))
        logs = model.fit(*data, batch_size=24, verbose=0).history
    drawn = model.sample_loss_parameters(7)["size"]
    assert drawn.dtype == ("float64" if policy == "float64" else "float32")
    assert np.isfinite(logs["loss"]).all()


def test_weights_that_sum_to_one_are_asked_for_together(data):
    model = Line(Dirichlet({"error": 1.0, "size": 2.0}))
    asked = {"error": 0.25, "size": 0.75}
    assert model(data[0], asked).shape == (NUM,)
    with pytest.raises(InputError, match="sum of 1"):
        model(data[0], {"error": 0.5, "size": 0.75})
    with pytest.raises(InputError, match=r"none of \['size'\]"):
        model(data[0], {"error": 0.5})


_TWO_DEVICES = """
import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [one, one])
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")
from yoto_tf.method.model import LossConditionalModel
from yoto_tf.method.parameters import LogUniform


class Line(LossConditionalModel):
    def __init__(self):
        super().__init__(
            {"size": LogUniform(0.01, 1.0)},
            adaptive_draws=float(sys.argv[1]),
            seed=1,
        )
        self.net = keras.layers.Dense(1)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        return self.net(keras.ops.concatenate([x, told], -1))[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {"error": (outputs - y) ** 2, "size": keras.ops.abs(outputs)}


rng = np.random.default_rng(0)
x = rng.normal(size=(47, 3))


def trained(scope):
    keras.utils.set_random_seed(0)
    with scope:
        model = Line()
        model.compile(
            # The loss is scaled, and clipped as if it were not.
            keras.optimizers.SGD(
                0.1, global_clipnorm=0.5, loss_scale_factor=64.0
            ),
            # One that adds up, one that does not.
            metrics=[
                keras.metrics.MeanAbsoluteError(),
                keras.metrics.R2Score(),
            ],
        )
    # 20, 20 and 7 examples, and 20 and 3.
    logs = model.fit(
        x, x[:, 0], batch_size=20, epochs=7, shuffle=False, verbose=0,
        validation_data=(x[:23], x[:23, 0]), validation_batch_size=20,
    ).history
    assert len(logs) == 3 + 3 * (2 + 2) + 1, sorted(logs)
    return [*model.get_weights(), *map(np.array, logs.values())]


alone = trained(contextlib.nullcontext())
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
both = trained(strategy.scope())
print(max(np.abs(a - b).max() for a, b in zip(alone, both)))
"""


# What is learned of the draws is float32.
@pytest.mark.slow
@pytest.mark.parametrize(("adaptive", "most"), [(0.0, 1e-9), (0.8, 1e-5)])
def test_two_devices_train_as_one(adaptive, most):
    done = subprocess.run(
        [sys.executable, "-c", _TWO_DEVICES, str(adaptive)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout.split()[-1]) < most
