"""docs/condition.md on real data, and networks of `keras.applications`."""

import json
import pathlib
import re

import keras
import numpy as np
import pytest
import serving_models
from keras import ops
from sklearn import datasets

import yoto_tf

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "condition.md"


@pytest.mark.slow
def test_the_page_runs_on_breast_cancer_up_to_a_served_answer(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    # The positive class is the malignant one.
    y = (y == 0).astype("float32")
    x, x_new, y, y_new = x[:400], x[400:], y[:400], y[400:]
    keras.utils.set_random_seed(0)

    code = re.search("```python\n(.*?)```", _PAGE.read_text(), re.S)[1]
    space = {"__name__": "page", "x": x, "y": y, "x_new": x_new}
    exec(code, space)
    model = space["model"]
    answers = model.predict(x_new, loss_parameters={"miss": 4.0}, verbose=0)
    with serving_models.running(tmp_path / "models/alarms", "alarms") as server:
        status, reply = serving_models.ask(
            server,
            "POST",
            "/v1/models/alarms:predict",
            json.dumps(
                {
                    "instances": [
                        {"inputs": row.tolist(), "miss": 4.0}
                        for row in x_new[:5]
                    ]
                }
            ),
        )
    assert status == 200
    np.testing.assert_allclose(reply["predictions"], answers[:5], atol=1e-4)

    model.save("alarms.keras")
    loaded = keras.models.load_model("alarms.keras")
    loaded.fit(x, y, epochs=5, verbose=0)
    # The larger the weight of a miss, the more alarms.
    logits = [
        loaded.predict(x_new, loss_parameters={"miss": w}, verbose=0)[:, 0]
        for w in (0.1, 1.0, 10.0)
    ]
    means = [float(np.mean(at)) for at in logits]
    assert means == sorted(means)
    assert means[2] > means[0] + 0.5
    assert np.mean((logits[1] > 0) == y_new) > 0.9


_APPLICATIONS = {
    "MobileNetV3Small": (
        32,
        lambda **k: keras.applications.MobileNetV3Small(
            include_preprocessing=False, **k
        ),
    ),
    "ResNet50": (32, keras.applications.ResNet50),
    "EfficientNetV2B0": (32, keras.applications.EfficientNetV2B0),
    "ConvNeXtTiny": (32, keras.applications.ConvNeXtTiny),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _APPLICATIONS)
def test_an_application_is_itself_and_takes_a_step(name):
    size, make = _APPLICATIONS[name]
    net = make(weights=None, input_shape=(size, size, 3), classes=3)
    kernels = [
        layer
        for layer in net.layers
        if any(len(w.shape) > 1 for w in layer.weights)
        and getattr(layer.get_config(), "activation", None) is None
    ]
    model = yoto_tf.condition(
        net,
        {"ce": "sparse_categorical_crossentropy", "mse": _confidence},
        {"mse": yoto_tf.LogUniform(0.1, 10.0)},
    )
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(4, size, size, 3)).astype("float32")
    answers = model(x)
    assert answers.shape == (4, 3)
    np.testing.assert_array_equal(answers, net(x))
    assert 0.5 * len(kernels) < len(model.sites) <= len(kernels)
    assert model.sites[-1] != net.layers[-1].name
    # Not compiled, which would take half a minute.
    model.compile("adam", run_eagerly=True)
    model.fit(x, rng.integers(0, 3, 4), verbose=0)
    moved = [np.any(at.kernel) for at in model.conditioning_layers]
    assert np.mean(moved) > 0.9


def _confidence(x, y, outputs, loss_parameters):
    return ops.sum(ops.square(outputs), -1)
