"""Every family trains on several replicas as it does on one device."""

import json
import subprocess
import sys

import numpy as np
import pytest
import workers_on_loopback as loopback
from tables import write_table

from yoto_tf.run_directory import RunDirectory

STEPS = loopback.ROOT / "tests" / "training" / "families_on_replicas.py"
SLOW = pytest.mark.slow


def ended(*words):
    return subprocess.run(
        [sys.executable, str(STEPS), *map(str, words)],
        cwd=loopback.ROOT,
        env=loopback.environment(
            PYTHONPATH=f"{loopback.ROOT}:{loopback.ROOT / 'tests'}"
        ),
        capture_output=True,
        text=True,
        check=False,
    )


def compared(*words):
    done = ended(*words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@SLOW
@pytest.mark.parametrize(
    ("kind", "optimizer", "num", "more"),
    [
        ("credit_cost", "sgd", 2, ()),
        ("credit_cost", "adam", 2, ("jit",)),
        ("visits_quantile", "sgd", 4, ()),
        ("vae", "sgd", 2, ("jit", "steps")),
        # A validation ends within an execution, and must not draw further.
        ("vae", "sgd", 2, ("steps",)),
        ("vae", "adam", 2, ()),
        ("total_correlation", "sgd", 2, ()),
        ("total_correlation", "sgd", 4, ("steps",)),
        ("compression", "sgd", 2, ("steps",)),
    ],
)
def test_each_family_trains_as_on_one_device(kind, optimizer, num, more):
    found = compared(kind, "float64", optimizer, num, *more)
    assert found["moved"] > 1e-3
    # Adam divides by the size of a gradient, and so makes rounding larger.
    assert found["most"] < (1e-9 if optimizer == "sgd" else 1e-6)
    one, several = found["logs"]
    assert sorted(one) == sorted(several)
    for name, values in one.items():
        np.testing.assert_allclose(several[name], values, rtol=1e-6)


@SLOW
@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("vae", "mixed_float16"),
        ("total_correlation", "mixed_bfloat16"),
        ("compression", "mixed_float16"),
        ("compression", "mixed_bfloat16"),
        ("credit_cost", "mixed_float16"),
    ],
)
def test_mixed_precision_trains_on_two_with_clipping(kind, policy):
    found = compared(kind, policy, "sgd", 2, "steps")
    # Rounding to 8 or 11 bits is all that differs.
    assert found["apart"] < 0.05 * found["moved"]
    assert found["moved"] > 1e-3


@SLOW
def test_xla_is_refused_where_replicas_exchange_examples():
    done = ended("total_correlation", "float32", "sgd", 2, "jit")
    assert done.returncode == 1
    assert "expected jit_compile=False for terms of several" in done.stderr


# The command line.


def words_of(preset, folder, data_dir):
    """Overrides with which a preset's run takes seconds."""
    if preset == "smoke":
        return ["--data.data-dir", data_dir]
    if preset == "compression_smoke":
        return ["--data.data-dir", data_dir, "--data.crops-per-cell", "2"]
    count = preset == "visits_quantile"
    return [
        *("--data.name", write_table(folder)),
        *("--data.target", "count" if count else "found"),
        *([] if count else ["--data.positive", "y"]),
        *("--data.validation-examples", "30", "--data.test-examples", "50"),
        *("--training.steps", "10", "--training.batch-size", "32"),
    ]


def train(run, preset, *words):
    module = [sys.executable, "-m", "training.train", preset]
    return [*module, "--run-dir", str(run), *map(str, words)]


def finished(command, environments):
    results = loopback.ended(loopback.started(command, environments))
    assert [code for code, *_ in results] == [0] * len(results), results
    return results[0][1]


MIRRORED = ("--strategy", "mirrored", "--devices", "2")


@SLOW
@pytest.mark.parametrize(
    "preset", ["smoke", "compression_smoke", "credit_cost", "visits_quantile"]
)
def test_each_family_is_trained_by_the_command_line(preset, data_dir, tmp_path):
    run = RunDirectory(tmp_path / "run")
    words = words_of(preset, tmp_path, data_dir)
    # Of 14, of 16 and of 5 steps in an epoch.
    steps = "2" if "smoke" in preset else "5"
    words += ["--steps-per-execution", steps]
    words += ["--training.dtype", "mixed_float16"]
    said = finished(train(run.path, preset, *words, *MIRRORED), [{}])
    assert "on 2 replicas in 1 process" in said
    model = run.load_model()
    assert model.dtype_policy.name == "mixed_float16"
    for weight in model.get_weights():
        assert np.isfinite(weight).all()


@SLOW
@pytest.mark.parametrize("preset", ["compression_smoke", "credit_cost"])
def test_each_family_is_trained_by_two_processes_and_continued(
    preset, data_dir, tmp_path
):
    run = RunDirectory(tmp_path / "run")
    words = words_of(preset, tmp_path, data_dir)
    words = [*words, "--strategy", "multi_worker"]
    assert "on 2 replicas in 2 processes" in finished(
        train(run.path, preset, *words), loopback.environments(2)
    )
    before = run.load_model().get_weights()
    last = run.checkpoint_epochs()[-1]
    # As if it had been killed after the first epoch.
    run.checkpoint_file(last).unlink()
    run.model_file.unlink()
    said = finished(
        train(run.path, preset, *words, "--resume"), loopback.environments(2)
    )
    assert f"continued after epoch {last - 1}" in said
    pairs = zip(before, run.load_model().get_weights(), strict=True)
    for expected, received in pairs:
        np.testing.assert_array_equal(expected, received)
