"""Runs on this machine, on Ray and in Slurm's jobs are the same runs."""

import contextlib
import importlib.util
import math
import operator
import os
import subprocess
import sys

import pandas as pd
import psutil
import pytest
import workers_on_loopback as loopback
from waiting import OF_PROCESS
from waiting import happens

from training.executors import base
from training.executors import options
from training.executors.base import Lost
from training.executors.local import LocalExecutor
from training.executors.options import ExecutorOptions
from training.study.__main__ import main
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

SPEC = """
summary = "A test."
preset = "smoke"
seeds = [0]
grid.beta = [1, 256]

[overrides]
training.epochs = 40
data.validation_examples = 0
data.data_dir = "{data_dir}"

[methods.gates]
objective.normalization = "geometric_mean"

[methods.fixed]
fixed = true
"""

# What a task's process is called.
TASKS = {"ray": "ray::with_threads", "slurm": "submitit.core._submit"}
NEEDED = {"ray": "ray", "slurm": "submitit"}


def skip_without(executor):
    if importlib.util.find_spec(NEEDED[executor]) is None:
        pytest.skip(
            f"needs {NEEDED[executor]}: pip install -r requirements.txt"
        )


def made(executor, folder):
    """An executor on this machine."""
    if executor == "local":
        return LocalExecutor(2)
    skip_without(executor)
    words = ("cluster=local",) if executor == "slurm" else ()
    given = ExecutorOptions(executor, slurm=words)
    return options.on_cluster(given, folder, None, own_threads=True)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray", "slurm"])
def test_functions_answer_raise_and_are_lost(executor, tmp_path):
    with made(executor, tmp_path) as run:
        handles = [run.submit(math.pow, 2, i) for i in range(3)]
        pending = set(handles)
        while pending:
            pending -= set(run.finished(list(pending), 5))
        assert [run.outcome(h) for h in handles] == [1, 2, 4]
        assert run.call(os.getpid) != os.getpid()
        with pytest.raises((ZeroDivisionError, RuntimeError), match="by zero"):
            run.call(operator.truediv, 1, 0)
        with pytest.raises(Lost):
            run.call(os._exit, 3)
        # The others go on.
        assert run.call(math.pow, 3, 2) == 9


@pytest.fixture(scope="module")
def spec_file(data_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp("specs") / "small.toml"
    path.write_text(SPEC.format(data_dir=data_dir))
    return path


def study(spec_file, folder, *more):
    """A study in a process of its own."""
    words = [spec_file, "--to", folder, "--runs", folder / "runs", *more]
    command = [sys.executable, "-m", "training.study", *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=loopback.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def scores(folder):
    """The table without times, by method and point."""
    table = pd.read_csv(folder / "results.csv")
    assert table.failure.isna().all()
    columns = ["method", "beta", "full_loss", "rate", "distortion"]
    return table[columns].sort_values(["method", "beta"], ignore_index=True)


def kill_a_task(process, name, run):
    """Kills the process of a task on a run that has a checkpoint."""
    happens(run.checkpoint_epochs, OF_PROCESS)
    lock = (run.path / "lock").resolve()
    for child in psutil.Process(process.pid).children(recursive=True):
        # One that has ended meanwhile is none.
        with contextlib.suppress(psutil.Error):
            held = [f.path for f in child.open_files()]
            if name in " ".join(child.cmdline()) and str(lock) in held:
                child.kill()
                return True
    return False


@pytest.fixture(scope="module")
def local_study(spec_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    process = study(spec_file, folder, "--jobs", "1")
    said, _ = process.communicate(timeout=OF_PROCESS)
    assert process.returncode == 0, said
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["ray", "slurm"])
def test_a_lost_task_goes_on_after_its_last_checkpoint(
    executor, local_study, spec_file, tmp_path
):
    skip_without(executor)
    more = ("--slurm", "cluster=local") if executor == "slurm" else ()
    # As many threads as the local one had.
    cpus = str(len(os.sched_getaffinity(0)))
    process = study(
        spec_file, tmp_path, "--executor", executor, "--cpus", cpus, *more
    )
    run = RunDirectory(tmp_path / "runs" / "gates" / "width1-seed0")
    try:
        assert kill_a_task(process, TASKS[executor], run)
        said, _ = process.communicate(timeout=OF_PROCESS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert "small: 3 runs, 0 of them finished; all at a time" in said
    assert "continued after epoch" in run.output_file.read_text()
    pd.testing.assert_frame_equal(scores(tmp_path), scores(local_study))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cpus", "2"], "--executor ray or slurm with --cpus"),
        (["--cpus", "0"], "--cpus of 1 or more"),
        (["--gpus", "1"], "--executor ray with --gpus"),
        (["--executor", "ray", "--gpus", "1.5"], "whole above 1"),
        (["--executor", "ray", "--gpus", "-1"], "--gpus of 0 or more"),
        (["--ray-address", "auto"], "--executor ray with --ray-address"),
        (
            ["--executor", "ray", "--slurm", "timeout_min=3"],
            "--executor slurm with --slurm",
        ),
    ],
)
def test_options_without_effect_are_refused(
    words, said, spec_file, tmp_path, capsys
):
    with pytest.raises(SystemExit) as raised:
        main([str(spec_file), "--runs", str(tmp_path / "runs"), *words])
    assert raised.value.code == 2
    assert said in capsys.readouterr().err


def test_an_executor_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, module in NEEDED.items():
        with pytest.raises(InputError, match=rf"pip install 'yoto_tf\[{name}"):
            base.require(module, name)


def test_parameters_of_slurm_are_numbers_or_texts():
    texts = ["timeout_min=30", "slurm_partition=short", "slurm_exclusive=true"]
    assert [options._parameter(t) for t in texts] == [
        ("timeout_min", 30),
        ("slurm_partition", "short"),
        ("slurm_exclusive", True),
    ]
    with pytest.raises(InputError, match="NAME=VALUE"):
        options._parameter("timeout")
