"""Versions in other engines than TF Serving's: as docs/export.md says."""

import pathlib
import re

import export_runs
import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.families.vae.endpoints import vae_endpoints

ROOT = pathlib.Path(__file__).parents[2]
DOC = (ROOT / "docs/export.md").read_text()
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

pytestmark = pytest.mark.filterwarnings(
    # TensorFlow's interpreter moves to a package of its own.
    r"ignore:[\s\S]*tf.lite.Interpreter is deprecated:UserWarning",
)


def numeric(model, invalid_rows):
    """Endpoints that decode no files and answer no texts."""
    return [
        e
        for e in vae_endpoints(model, invalid_rows)
        if all(spec.dtype != tf.string for spec in e.inputs)
        and e.name != "loss_parameters"
    ]


def run_snippet(first_line, path, **known):
    """Runs a piece of the documentation's code, up to its `answer`; returns
    the names that it defines."""
    pattern = rf"```python\n({first_line}.*?)(?:answer|```)"
    (code,) = re.findall(pattern, DOC, re.S)
    exec(code.replace('"models/shapes/1"', repr(str(path))), known)
    return known


def check_tflite(likelihood, invalid_rows):
    exported = export_runs.exported(likelihood, invalid_rows)
    endpoints = numeric(exported.model, invalid_rows)
    found = run_snippet("import tensorflow", exported.path)
    assert sorted(found["names"]) == sorted(e.name for e in endpoints)
    interpreter = tf.lite.Interpreter(model_content=found["tflite"])
    kinds = {d["op_name"] for d in interpreter._get_ops_details()}
    assert not {k for k in kinds if k.startswith("Flex") or k == "CUSTOM"}
    for endpoint in endpoints:
        run = interpreter.get_signature_runner(endpoint.name)
        for rows in (1, 3):
            inputs = endpoint.example(rows, rows)
            found = run(**inputs)
            for name, value in endpoint.reference(**inputs).items():
                expected = np.asarray(value).astype("float32")
                np.testing.assert_allclose(found[name], expected, **CLOSE)
    # What is refused elsewhere is answered here: TFLite has no assertions.
    image, beta = export_runs.images(2), np.float32([1000, 4])
    found = interpreter.get_signature_runner("reconstruct")(
        image=image, beta=beta
    )
    assert found["in_range"].tolist() == [False, True]
    return found


@pytest.mark.slow
def test_tflite_answers_as_keras_does_with_its_own_operations():
    found = check_tflite("bernoulli", "error")
    assert np.isfinite(found["reconstruction"]).all()


@pytest.mark.slow
def test_tflite_blanks_rows_that_are_flagged():
    found = check_tflite("gaussian", "flag")
    blank = np.isnan(found["reconstruction"]).all((1, 2, 3))
    assert blank.tolist() == [True, False]


def test_a_signature_is_a_layer_of_another_keras_model():
    exported = export_runs.exported("bernoulli", "error")
    found = run_snippet("reconstruct = keras", exported.path, keras=keras)
    reconstruct = found["reconstruct"]
    image, beta = keras.Input((32, 32, 3)), keras.Input(())
    answer = reconstruct(image, beta=beta)
    model = keras.Model(
        [image, beta], keras.layers.Rescaling(255)(answer["reconstruction"])
    )
    x, b = export_runs.images(3), export_runs.betas(3)
    np.testing.assert_allclose(
        model.predict([x, b], verbose=0),
        255 * np.asarray(exported.model.reconstruct(x, b)),
        rtol=1e-4,
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="expected beta between"
    ):
        reconstruct(x, beta=b + 1000)
