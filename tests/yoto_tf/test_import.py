"""Keras finds the classes of the library, whichever is imported first."""

import pathlib
import subprocess
import sys

import keras
import pytest
from test_conformance import registered_classes

import yoto_tf
from yoto_tf import ConditionalVAE
from yoto_tf import ModelConfig

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    "imports",
    [
        "import yoto_tf; import keras",
        *(
            pytest.param(order, marks=pytest.mark.slow)
            for order in (
                "import keras; import yoto_tf",
                "import tensorflow; import yoto_tf; import keras",
                "import yoto_tf; import tensorflow; keras = tensorflow.keras",
                "import yoto_tf.data; from keras import models; import keras",
            )
        ),
    ],
)
def test_keras_loads_a_model_after_any_import(imports, tmp_path):
    config = ModelConfig(latent_size=2, base_channels=1, dense_units=4)
    ConditionalVAE((32, 32, 3), config).save(tmp_path / "model.keras")
    code = (
        f"{imports}\n"
        f"print(keras.models.load_model({str(tmp_path / 'model.keras')!r}))\n"
        "from keras.saving import get_custom_objects\n"
        "print(*get_custom_objects())"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert printed[0].startswith("<ConditionalVAE")
    # All that a file of a user's model can name, not the VAE's alone.
    assert set(printed[1].split()) >= {
        keras.saving.get_registered_name(c) for c in registered_classes()
    }


@pytest.mark.slow
def test_what_the_reference_names_is_there_before_keras():
    code = "import yoto_tf as y; print(y.layers.FiLM, y.ConditionedModel)"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "FiLM" in printed
    assert "layers" in dir(yoto_tf)
