"""A run's `training.dtype` is that of its model, wherever it is loaded."""

import collections

import keras
import numpy as np
import pytest
from tables import write_table

from export.saved_model import main as export
from training.evaluate import main as evaluate
from training.train import main as train
from yoto_tf import load_model
from yoto_tf.run_directory import RunDirectory

TABLE = (
    *("--data.target", "count", "--data.validation-examples", "30"),
    *("--data.test-examples", "50", "--training.batch-size", "32"),
    *("--training.steps", "10"),
)


@pytest.fixture
def words(request, tmp_path):
    """A preset with overrides for seconds."""
    if request.param == "visits_quantile":
        table = str(write_table(tmp_path))
        return [request.param, "--data.name", table, *TABLE]
    more = ["--data.data-dir", str(request.getfixturevalue("data_dir"))]
    if request.param == "compression_smoke":
        more += ["--data.crops-per-cell", "1"]
    return [request.param, *more]


def policies(model):
    """How many layers have which policy."""
    layers = model._flatten_layers(include_self=True)
    return collections.Counter(x.dtype_policy.name for x in layers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "dtype"),
    [
        ("visits_quantile", "mixed_float16"),
        ("smoke", "mixed_bfloat16"),
        ("smoke", "mixed_float16"),
        ("compression_smoke", "mixed_bfloat16"),
    ],
    indirect=["words"],
)
def test_a_run_keeps_its_dtype(words, dtype, tmp_path):
    run = RunDirectory(tmp_path / "run")
    words = [*words, "--run-dir", str(run.path), "--training.dtype", dtype]
    train(words)
    assert run.read_config().training.dtype == dtype
    model = run.load_model()
    assert model.dtype_policy.name == dtype
    assert policies(model)[dtype] > 4
    # The file alone says it, too.
    assert policies(load_model(run.model_file)) == policies(model)
    assert keras.config.dtype_policy().name == "float32"
    assert {w.dtype for w in model.trainable_variables} == {"float32"}
    before = model.get_weights()
    # As if it had been killed after the first epoch.
    run.checkpoint_file(run.checkpoint_epochs()[-1]).unlink()
    run.model_file.unlink()
    train([*words, "--resume"])
    again = run.load_model()
    assert policies(again) == policies(model)
    for one, other in zip(before, again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    evaluate([str(run.path)])
    for i, row in enumerate(run.read_curve()):
        # No level lies below the first that it could cross.
        crossings = row.pop("crossings", None)
        assert crossings is None or np.isnan(crossings) == (i == 0)
        assert np.isfinite(list(row.values())).all()
    export([str(run.path), "--to", str(tmp_path / "models")])
    assert (tmp_path / "models" / "1" / "saved_model.pb").is_file()
