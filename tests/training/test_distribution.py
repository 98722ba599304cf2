"""Several devices and processes train as one does."""

import hashlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import workers_on_loopback as loopback
from keras.src.backend.tensorflow import trainer
from waiting import OF_PROCESS
from waiting import happens

from training import cluster
from training import strategies
from training.distribution import Distribution
from training.train import main
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

STEPS = loopback.ROOT / "tests" / "training" / "distributed_steps.py"

# Of Keras 3.15.1.
HOOKS = {
    trainer.TensorFlowTrainer._maybe_symbolic_build: "92a504f5eba9b29f",
    trainer.TensorFlowTrainer._make_function: "bb33b7a0da3d2740",
    trainer.reduce_per_replica: "2e7d54b1e6edc29a",
}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_what_is_got_round_in_keras_is_as_it_was(hook):
    source = inspect.getsource(hook)
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == HOOKS[hook], (
        "Keras changed what yoto_tf/method/several_workers.py gets round: see "
        "whether keras-team/keras#20585 is mended and that file can go"
    )


def steps(kind, optimizer, out, *more):
    return [sys.executable, str(STEPS), kind, optimizer, str(out), *more]


def trained(folder, kind, optimizer, *more):
    """Weights and logs after 20 steps, in processes of their own."""
    out = folder / f"{kind.replace(':', '')}-{optimizer}{''.join(more)}.npz"
    environments = [{}]
    if kind == "workers":
        ports = loopback.free_ports(2)
        environments = [
            {"TF_CONFIG": loopback.tf_config(ports, i)} for i in (0, 1)
        ]
    for one in environments:
        one["PYTHONPATH"] = str(loopback.ROOT)
    command = steps(kind, optimizer, out, *more)
    results = loopback.ended(loopback.started(command, environments))
    assert [code for code, *_ in results] == [0] * len(results), results
    with np.load(out) as found:
        return dict(found)


def differences(one, other):
    assert sorted(one) == sorted(other)
    apart = [np.abs(one[k] - other[k]).ravel() for k in one if k[0] == "w"]
    return np.concatenate(apart)


def difference(one, other):
    return differences(one, other).max()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one device ends with, in float64."""
    return trained(tmp_path_factory.mktemp("alone"), "alone", "sgd")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mirrored:2", "mirrored:4", "workers"])
def test_any_number_of_replicas_trains_as_one_does(kind, alone, tmp_path):
    several = trained(tmp_path, kind, "sgd")
    assert difference(alone, several) < 1e-9
    for name, values in alone.items():
        np.testing.assert_allclose(several[name], values, rtol=1e-6)


@pytest.mark.slow
def test_steps_without_python_between_them_are_the_same(alone, tmp_path):
    several = trained(tmp_path, "workers", "sgd", "steps")
    assert difference(alone, several) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("mixed",)])
def test_rounding_is_all_that_differs_under_adam(more, tmp_path):
    one = trained(tmp_path, "alone", "adam", *more)
    two = trained(tmp_path, "workers", "adam", *more)
    # 20 steps of 0.01: see docs/scale.md.
    if more:
        # In bfloat16 a gradient near 0 may have either sign, and Adam goes a
        # whole step by it: some weights, on each kind of processor others.
        assert differences(one, two).mean() < 2e-3
    else:
        assert difference(one, two) < 2e-5


# The command line, with the variables of a scheduler.


def train_command(run_dir, data_dir, *more):
    words = ["smoke", "--run-dir", run_dir, "--data.data-dir", data_dir, *more]
    module = [sys.executable, "-m", "training.train"]
    return [*module, *map(str, words), "--strategy", "multi_worker"]


def of_tf_config():
    ports = loopback.free_ports(2)
    return [{"TF_CONFIG": loopback.tf_config(ports, i)} for i in (0, 1)]


@pytest.mark.slow
def test_a_killed_worker_ends_all_and_they_end_as_uninterrupted(
    data_dir, tmp_path
):
    more = ("--training.epochs", "4", "--training.pictures-every", "0")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    results = loopback.ended(
        loopback.started(train_command(whole, data_dir, *more), of_tf_config())
    )
    assert [code for code, *_ in results] == [0, 0], results
    assert "trained:" in results[0][1]
    assert results[1][1] == ""
    run = RunDirectory(killed)
    both = loopback.started(
        train_command(killed, data_dir, *more), of_tf_config()
    )
    happens(run.checkpoint_epochs, OF_PROCESS)
    os.kill(both[1].pid, signal.SIGKILL)
    before = time.monotonic()
    (code, _, said), _ = loopback.ended(both)
    assert time.monotonic() - before < 60
    assert code == 1
    assert "error: expected all workers to train until the end" in said
    assert "Traceback" not in said
    assert not run.model_file.exists()
    results = loopback.ended(
        loopback.started(
            train_command(killed, data_dir, *more, "--resume"), of_tf_config()
        )
    )
    assert [code for code, *_ in results] == [0, 0], results
    assert "continued after epoch" in results[0][1]
    pairs = zip(
        RunDirectory(whole).load_model().get_weights(),
        run.load_model().get_weights(),
        strict=True,
    )
    for expected, received in pairs:
        np.testing.assert_array_equal(expected, received)


@pytest.mark.slow
def test_a_chief_without_workers_ends_with_a_sentence(tmp_path):
    command = train_command(tmp_path / "run", tmp_path, "--wait", "3")
    ((code, _, said),) = loopback.ended(
        loopback.started(command, of_tf_config()[:1])
    )
    assert code == -signal.SIGKILL
    assert said.count("error: ") == 1
    assert "error: expected 1 other workers within 3 s, received: no" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_workers_with_other_settings_are_refused(data_dir, tmp_path):
    environments = of_tf_config()
    chief = loopback.started(
        train_command(tmp_path / "run", data_dir), environments[:1]
    )
    other = loopback.started(
        train_command(tmp_path / "run", data_dir, "--training.seed", "3"),
        environments[1:],
    )
    for code, _, said in loopback.ended([*chief, *other]):
        assert code == 2
        assert "expected the settings of the chief, received: " in said
        assert "training.seed" in said


def test_slurm_numbers_the_tasks(monkeypatch):
    slurm = {
        "SLURM_JOB_ID": "5",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NUM_TASKS": "4",
        # Sorted as texts, n10 comes before n2.
        "SLURM_STEP_NODELIST": "n[1-2],n10",
        "SLURM_STEP_TASKS_PER_NODE": "1,2,1",
        "SLURMD_NODENAME": "n2",
    }
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    found = cluster.resolver(slurm)
    assert found.cluster_spec().as_dict() == {
        "worker": ["n1:12005", "n2:12005", "n2:12006", "n10:12005"]
    }
    assert (found.task_type, found.task_id) == ("worker", 2)
    slurm["SLURMD_NODENAME"] = "n1"
    with pytest.raises(InputError, match="block, received: task 2 on n1"):
        cluster.resolver(slurm)
    del slurm["SLURM_STEP_NODELIST"]
    with pytest.raises(InputError, match="received: no SLURM_STEP_NODELIST"):
        cluster.resolver(slurm)


def test_a_chief_stands_before_the_workers():
    spec = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    config = {"cluster": spec, "task": {"type": "worker", "index": 1}}
    found = cluster.resolver({"TF_CONFIG": json.dumps(config)})
    spec = found.cluster_spec()
    assert cluster.count(spec) == 3
    assert cluster.index(spec, found.task_type, found.task_id) == 2
    assert cluster.index(spec, "chief", 0) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "JSONDecodeError"),
        ('{"cluster": {"worker": ["a:1"]}}', "KeyError: 'task'"),
        (
            '{"cluster": {"worker": ["a:1"]},'
            ' "task": {"type": "worker", "index": 1}}',
            "worker 1 of 1",
        ),
        (
            '{"cluster": {"ps": ["a:1"], "worker": ["a:1"]},'
            ' "task": {"type": "worker", "index": 0}}',
            "1 of 'ps'",
        ),
    ],
)
def test_a_wrong_tf_config_is_refused(text, said):
    with pytest.raises(InputError, match="TF_CONFIG") as raised:
        cluster.resolver({"TF_CONFIG": text})
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "multi_worker"], "expected TF_CONFIG, or Slurm's"),
        (["--strategy", "mirrored"], "--devices N to divide the processor"),
        (["--devices", "2"], "for --strategy mirrored alone"),
        (["--strategy", "mirrored", "--devices", "-1"], "0 or more"),
        (["--wait", "0"], "--wait above 0"),
        (["--steps-per-execution", "0"], "--steps-per-execution of 1"),
    ],
)
def test_what_cannot_be_distributed_is_refused(
    words, said, tmp_path, capsys, monkeypatch
):
    for name in ("TF_CONFIG", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as raised:
        main(["smoke", "--run-dir", str(tmp_path / "run"), *words])
    assert raised.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_every_replica_has_an_example():
    class Three:
        num_replicas_in_sync = 3

    Distribution(Three()).check_batch(3)
    with pytest.raises(InputError, match="batch_size of 3 or more"):
        Distribution(Three()).check_batch(2)


def test_a_wait_that_is_too_long_is_ended_from_outside():
    code = (
        "import time; from training import strategies\n"
        "with strategies._ends_after(60, 'long'): pass\n"
        "with strategies._ends_after(0.1, 'too long'): time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=loopback.ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == b"error: too long\n"
    assert strategies.made("none") == Distribution()
