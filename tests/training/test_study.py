"""A small real study through the command line: to its end, cut off and
continued, with a run that diverges."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pebble
import pytest
from PIL import Image
from waiting import OF_PROCESS
from waiting import happens

from training.evaluate import evaluate
from training.executors.base import Lost
from training.executors.local import LocalExecutor
from training.study import __main__ as study_module
from training.study import costs
from training.study import outcome
from training.study import results as results_module
from training.study import runner
from training.study import worker
from training.study.kept import Kept
from training.study.pictures import pictured_runs
from training.study.pictures import row_label
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.errors import InputError
from yoto_tf.families import get_family
from yoto_tf.run_directory import RunDirectory

VAE = get_family("vae")
ROOT = pathlib.Path(__file__).parents[2]
TEXT = """
summary = "A test."
preset = "smoke"
seeds = [0]
grid.beta = [1, 256]
metrics = ["mutual_information"]

[overrides]
training.epochs = 4
data.validation_examples = 0
data.data_dir = "{data_dir}"

[methods.fixed]
fixed = true

[methods.gates]
objective.normalization = "geometric_mean"

[methods.wild]
optimizer.learning_rate = 1e30
"""
_SCORES = ["rate", "distortion", "full_loss", "active_units", "steps"]


@pytest.fixture(scope="module")
def spec_file(data_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp("specs") / "tiny.toml"
    path.write_text(TEXT.format(data_dir=data_dir))
    return path


def _command(spec_file, folder, *more):
    return [
        sys.executable,
        "-m",
        "training.study",
        str(spec_file),
        "--to",
        str(folder),
        "--runs",
        str(folder / "runs"),
        *more,
    ]


def _study(spec_file, folder, *more):
    return subprocess.run(
        _command(spec_file, folder, *more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def study(spec_file, tmp_path_factory):
    """A finished study and what it said; tests must not change it."""
    folder = tmp_path_factory.mktemp("study")
    return folder, _study(spec_file, folder)


@pytest.mark.slow
def test_a_study_leaves_results_report_and_figures(study):
    folder, ended = study
    # One run diverged; all others went on.
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr
    results = results_module.read(folder / "results.csv", VAE)
    good = results[results.failure == ""]
    assert sorted(zip(good.method, good.beta, strict=True)) == [
        ("fixed", 1.0),
        ("fixed", 256.0),
        ("gates", 1.0),
        ("gates", 256.0),
    ]
    np.testing.assert_allclose(
        good.full_loss, good.distortion + good.beta * good.rate, rtol=1e-6
    )
    # Of 128 images it says nothing of codes that tell them all apart.
    measured = good[good.mutual_information.notna()]
    assert set(measured.beta) == {256.0}
    # No more than the rate, but for sampling.
    assert (measured.mutual_information <= measured.rate + 0.1).all()
    assert (measured.mutual_information > -0.1).all()
    assert (good.steps == 4 * (512 // 32)).all()
    assert (good.train_seconds > 0).all()
    wild = results[results.method == "wild"]
    assert wild.failure.str.contains("diverged: .* in epoch 1, step").all()
    text = (folder / "report.md").read_text()
    assert f"python -m training.study {study_path(ended)}" in text
    assert "- `wild/width1-seed0`: diverged" in text
    assert "## What was measured besides" in text
    assert "| method | at | active units | mutual information |" in text
    drawn = "trade_off", "full_loss_difference", "reconstructions", "metrics"
    for name in drawn:
        assert f"({name}.png)" in text
        pixels = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


@pytest.mark.slow
def test_a_line_has_what_evaluate_finds_between_the_points(study, tmp_path):
    folder, _ = study
    found = pd.read_csv(folder / "between.csv")
    # A fixed weight has no line, a run that diverged none either.
    assert set(found.method) == {"gates"}
    run = RunDirectory(tmp_path / "copy")
    shutil.copytree(folder / "runs/gates/width1-seed0", run.path)
    rows = {row["beta"]: row for row in evaluate(run)}
    assert set(rows) - {1.0, 256.0} == set(found.beta)
    for row in found.to_dict("records"):
        for name in ("rate", "distortion"):
            assert row[name] == pytest.approx(
                rows[row["beta"]][name], rel=1e-5, abs=1e-5
            )


def study_path(ended):
    return ended.args[3]


@pytest.mark.slow
def test_a_study_says_how_far_it_is(study):
    _, ended = study
    assert "tiny: 4 runs, 0 of them finished" in ended.stdout
    for name in ("fixed/width1-seed0-beta1", "gates/width1-seed0"):
        assert f"{name}: trained and scored in " in ended.stdout
    assert "wild/width1-seed0: diverged: " in ended.stdout
    assert " left\n" in ended.stdout
    # What the runs say is in their directories.
    assert "ms/step" not in ended.stdout


@pytest.mark.slow
def test_times_are_those_of_the_epochs(study):
    folder, _ = study
    results = results_module.read(folder / "results.csv", VAE)
    log = RunDirectory(folder / "runs/gates/width1-seed0").read_log()
    assert [row["epoch"] for row in log] == [0, 1, 2, 3]
    gates = results[results.method == "gates"].iloc[0]
    assert gates.train_seconds == pytest.approx(
        sum(row["seconds"] for row in log), abs=1e-3
    )
    assert 0 < gates.train_cpu_seconds


@pytest.mark.slow
def test_a_study_that_was_cut_off_ends_as_the_uninterrupted_one(
    study, spec_file, tmp_path
):
    process = subprocess.Popen(
        _command(spec_file, tmp_path),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    gates = RunDirectory(tmp_path / "runs/gates/width1-seed0")
    happens(gates.checkpoint_epochs, OF_PROCESS)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert gates.checkpoint_epochs()
    assert not gates.model_file.exists()
    ended = _study(spec_file, tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert "continued after epoch" in gates.output_file.read_text()
    expected = results_module.read(study[0] / "results.csv", VAE)
    received = results_module.read(tmp_path / "results.csv", VAE)
    pd.testing.assert_frame_equal(received[_SCORES], expected[_SCORES])


@pytest.mark.slow
def test_rows_of_runs_that_had_ended_are_written_before_others_begin(
    study, spec_file, tmp_path, monkeypatch
):
    """A study that is killed beside a run's end may not have written it."""

    def cut_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "train_all", cut_off)
    spec = load_spec(spec_file)
    with pytest.raises(KeyboardInterrupt):
        outcome.run_study(
            spec, planned_runs(spec), study[0] / "runs", tmp_path, 1, "x", str
        )
    expected = results_module.read(study[0] / "results.csv", VAE)
    # What failed without a model is tried again.
    expected = expected[expected.failure == ""].reset_index(drop=True)
    received = results_module.read(tmp_path / "results.csv", VAE)
    pd.testing.assert_frame_equal(
        received[_SCORES], expected[_SCORES], check_dtype=False
    )
    # And what was scored of them between the points, as each ended.
    between = (tmp_path / "between.csv").read_text()
    assert between == (study[0] / "between.csv").read_text()


@pytest.mark.slow
def test_a_run_has_as_many_threads_when_it_is_the_last_one_left(
    study, spec_file, tmp_path, monkeypatch
):
    spec = load_spec(spec_file)
    planned = planned_runs(spec)
    shutil.copytree(study[0] / "runs", tmp_path / "runs")
    left = RunDirectory(tmp_path / "runs/gates/width1-seed0")
    left.curve_file.unlink()
    started = {}

    class Started(Exception):
        pass

    def pool(jobs, initargs, **_):
        started.update(jobs=jobs, threads=initargs[0])
        raise Started

    monkeypatch.setattr(pebble, "ProcessPool", pool)
    monkeypatch.setattr(runner, "num_cores", lambda: 4)
    with pytest.raises(Started):
        runner.train_all(planned, tmp_path / "runs", "smoke", 4, None)
    assert started == {"jobs": 1, "threads": 1}
    # A study of fewer runs than jobs has the cores to itself.
    assert runner.threads_of_a_run(planned[:1], 4) == 4
    assert runner.threads_of_a_run(planned, 8) == 1


@pytest.mark.slow
def test_a_finished_study_trains_nothing(study, spec_file, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(study[0], folder)
    before = (folder / "results.csv").read_bytes()
    with pytest.raises(SystemExit) as ended:
        study_module.main(_command(spec_file, folder)[3:])
    assert ended.value.code == 3
    assert "4 runs, 4 of them finished" in capsys.readouterr().out
    assert (folder / "results.csv").read_bytes() == before


@pytest.mark.slow
def test_a_dry_run_prints_runs_and_costs_and_leaves_nothing(
    spec_file, tmp_path
):
    one_method = tmp_path / "one.toml"
    one_method.write_text(spec_file.read_text().split("[methods.gates]")[0])
    ended = _study(one_method, tmp_path / "study", "--dry-run", "--jobs", "1")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("fixed/width1-seed0-beta1: 64 steps, about ")
    assert lines[-1].startswith("one: 2 runs, about ")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("preset", "data"),
    [("smoke", "rendered_shapes3d/tiny"), ("cifar10", "cifar10")],
)
def test_a_dry_run_prepares_no_data_set(
    preset, data, spec_file, tmp_path, monkeypatch, capsys
):
    def prepare(*_, **__):
        raise AssertionError("prepared")

    monkeypatch.setattr(
        "tensorflow_datasets.core.DatasetBuilder.download_and_prepare", prepare
    )
    # TensorFlow takes threads only before it is used.
    monkeypatch.setattr(worker, "set_threads", lambda threads: None)
    settings = [f'data.data_dir="{tmp_path}/none"']
    if preset == "cifar10":
        settings += ["training.steps=12000", 'training.epochs="unset"']
    spec = load_spec(spec_file, preset, settings)
    costs.print_estimate(spec, planned_runs(spec), tmp_path / "runs", 2, Kept())
    *runs, total = capsys.readouterr().out.splitlines()
    length = "12,000 steps" if preset == "cifar10" else "4 epochs"
    assert runs == [
        f"{one.name}: {length}, time unknown" for one in planned_runs(spec)
    ]
    assert total == (
        f"{spec.name}: 4 runs, 4 of unknown time: a dry run prepares no data "
        f"set, and {data} is not there yet"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_report_is_made_again_from_the_tables_alone(
    study, spec_file, tmp_path, capsys
):
    for table in study[0].glob("*.csv"):
        shutil.copy(table, tmp_path)
    study_module.main(
        [
            str(spec_file),
            "--to",
            str(tmp_path),
            "--runs",
            str(tmp_path / "none"),
            "--report-only",
        ]
    )
    assert "tables and figures" in capsys.readouterr().out
    text = (study[0] / "report.md").read_text()
    # Without models there is no picture of reconstructions.
    before, rest = text.split("![Test images")
    assert (tmp_path / "report.md").read_text().startswith(before.rstrip())
    line = (tmp_path / "trade_off.png").read_bytes()
    assert line == (study[0] / "trade_off.png").read_bytes()


@pytest.mark.slow
def test_runs_of_other_settings_are_refused(study, spec_file, capsys):
    with pytest.raises(SystemExit) as ended:
        study_module.main(
            [
                *_command(spec_file, study[0])[3:],
                "--set",
                "training.epochs=5",
            ]
        )
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "received: other values of training.epochs" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "a study among ['ablation_cifar10'"),
        (["smoke", "--set", "training.epoch=1"], "'training.epoch'"),
        (["smoke", "--preset", "x"], "expected a preset among"),
        (["smoke", "--jobs", "-1"], "expected jobs of 0 or more"),
        (["smoke", "--report-only"], "expected the results of a study"),
    ],
)
def test_wrong_command_lines_end_with_code_2_and_a_sentence(
    arguments, sentence, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        study_module.main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_keras_that_no_process_can_use_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    ended = _study("smoke", tmp_path, "--jobs", "2")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: expected Keras with the TensorFlow")
    assert ended.stderr.count("\n") == 1


def test_a_process_that_dies_over_its_data_is_a_sentence(tmp_path):
    class Executor:
        def call(self, *_):
            raise Lost("its process ended with exit code -9")

    planned = planned_runs(load_spec("smoke"))
    with pytest.raises(InputError, match="data.name=.*exit code -9"):
        runner.train_all(
            planned,
            tmp_path,
            "smoke",
            1,
            None,
            lambda num: contextlib.nullcontext(Executor()),
        )


class Told:
    """Ends every run at once, with what it was told."""

    capacity, retries, is_here = 1, 0, False

    def __init__(self, results, reasons):
        self.results, self.reasons = results, iter(reasons)
        self.rows = []

    def call(self, *_):
        return None

    def submit(self, _, one, *__):
        seen = self.results.exists() and pd.read_csv(self.results)
        self.rows.append(0 if seen is False else len(seen))
        return one.name

    def finished(self, handles, seconds):
        return handles

    def outcome(self, handle):
        return next(self.reasons)


def test_rows_are_written_as_runs_end(spec_file, tmp_path):
    spec = load_spec(spec_file)
    planned = planned_runs(spec)
    executor = Told(tmp_path / "results.csv", "abcd")
    failures = outcome.run_study(
        spec, planned, tmp_path / "runs", tmp_path, 1, "x", str,
        lambda num: contextlib.nullcontext(executor),
    )  # fmt: skip
    # Two runs of one beta each, then two of both betas.
    assert executor.rows == [0, 1, 2, 4]
    assert list(failures.values()) == list("abcd")
    table = results_module.read(tmp_path / "results.csv", VAE)
    assert list(table.failure) == list("abccdd")


def _die():
    # A run that is at work, not one that dies while it is handed over.
    time.sleep(1)
    os._exit(7)


@pytest.mark.slow
def test_a_process_that_dies_is_reported_and_the_next_run_goes_on():
    with LocalExecutor(1) as executor:
        dead = executor.submit(_die)
        alive = executor.submit(abs, -3)
        reason = runner._outcome(executor, dead)
        assert str(reason) == "its process ended with exit code 7"
        assert executor.outcome(alive) == 3


@pytest.mark.slow
def test_points_that_no_model_can_be_asked_for_are_named(tmp_path, capsys):
    spec = tmp_path / "far.toml"
    spec.write_text(
        """
        summary = "A test."
        preset = "smoke"
        seeds = [0]
        grid.beta = [1, 1e6]
        [overrides]
        training.epochs = 1
        training.pictures_every = 0
        [methods.fixed]
        fixed = true
        [methods.gates]
        """
    )
    study_module.main([str(spec), "--runs", str(tmp_path), "--jobs", "2"])
    said = capsys.readouterr().out
    assert "not trained at beta=1e+06: the scores of gates/width1-seed0" in said
    assert len(results_module.read(tmp_path / "results.csv", VAE)) == 4
    # Of the test images, and of both models at the other point.
    with Image.open(tmp_path / "reconstructions.png") as picture:
        height = picture.height
    assert height < 2 * 350
    assert "beta 1e+06" in (tmp_path / "report.md").read_text()


def test_rows_of_pictures_have_names_that_fit():
    assert row_label("fixed weight, KL warm-up", {"beta": 16.0}).split(
        "\n"
    ) == [
        "fixed weight,",
        "KL warm-up",
        "beta=16",
    ]


def test_pictures_show_both_kinds_of_model_at_every_beta(spec_file):
    spec = load_spec(spec_file)
    chosen = pictured_runs(planned_runs(spec), spec)
    assert [(at, [one.name for one in pair]) for at, pair in chosen] == [
        ({"beta": 1.0}, ["fixed/width1-seed0-beta1", "gates/width1-seed0"]),
        ({"beta": 256.0}, ["fixed/width1-seed0-beta256", "gates/width1-seed0"]),
    ]
