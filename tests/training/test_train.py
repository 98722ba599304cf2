"""The run from data to `model.keras`: its files, its end, its resumption."""

import csv
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from waiting import OF_PROCESS
from waiting import happens

from training import train as train_module
from training.beginning import check_same_config
from training.train import train
from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory
from yoto_tf.strict_config import with_settings

ROOT = pathlib.Path(__file__).parents[2]


def _with_training(config, **changes):
    return dataclasses.replace(
        config, training=dataclasses.replace(config.training, **changes)
    )


def _command(run_dir, data_dir, *more):
    return [
        sys.executable,
        "-m",
        "training.train",
        "smoke",
        "--run-dir",
        str(run_dir),
        "--data.data-dir",
        str(data_dir),
        *more,
    ]


def _log_rows(run):
    """The rows without the times, which no two runs share."""
    with open(run.log_file, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row.pop("seconds")) > 0
        assert float(row.pop("cpu_seconds")) > 0
    return rows


def test_a_run_writes_its_config_log_checkpoints_and_model(
    trained_run, smoke_config
):
    content = json.loads(trained_run.config_file.read_text())
    assert content["preset"] == "smoke"
    assert content["packages"]["keras"].startswith("3.")
    assert trained_run.read_config() == smoke_config
    assert trained_run.checkpoint_epochs() == [1, 2]
    rows = _log_rows(trained_run)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert {"rate", "distortion", "val_loss", "val_rate_at_beta=256"} <= set(
        rows[0]
    )


def test_tensorboard_gets_scalars_and_pictures(trained_run):
    from tensorboard.backend.event_processing import event_accumulator

    pictures = event_accumulator.EventAccumulator(
        str(trained_run.tensorboard / "pictures")
    ).Reload()
    tag = pictures.Tags()["tensors"]
    assert tag == ["reconstructions"]
    assert len(pictures.Tensors("reconstructions")) == 2
    scalars = event_accumulator.EventAccumulator(
        str(trained_run.tensorboard / "train")
    ).Reload()
    assert "epoch_rate" in scalars.Tags()["tensors"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(trained_run, smoke_config, tmp_path):
    _, again = train(smoke_config, tmp_path / "again", verbose=0)
    assert _log_rows(again) == _log_rows(trained_run)


def test_an_existing_run_is_refused_and_left_as_it_is(
    trained_run, smoke_config
):
    before = trained_run.log_file.read_bytes()
    with pytest.raises(InputError, match=r"which exists; .*--resume"):
        train(smoke_config, trained_run.path, verbose=0)
    assert trained_run.log_file.read_bytes() == before


def test_a_run_is_resumed_with_its_own_settings_only(trained_run, smoke_config):
    other = _with_training(smoke_config, seed=5)
    with pytest.raises(InputError, match=r"other values of training\.seed"):
        train(other, trained_run.path, resume=True, verbose=0)


def test_a_run_is_not_resumed_under_the_name_of_another(
    trained_run, capsys, monkeypatch
):
    words = ["--run-dir", str(trained_run.path), "--resume"]
    with pytest.raises(SystemExit) as ended:
        train_module.main(["cifar10", *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "to resume it, received: other values of " in said
    assert "model.latent_size" in said
    # Of its own name, or of none, and of its file, it is.
    asked = []

    def train_(config, *_, **__):
        asked.append(config)
        return None, trained_run

    monkeypatch.setattr(train_module, "train", train_)
    for named in (["smoke"], [], [str(trained_run.config_file)]):
        train_module.main([*named, *words])
    assert asked == [trained_run.read_config()] * 3


def test_a_run_is_resumed_with_its_own_settings_alone(
    trained_run, capsys, tmp_path
):
    """An option that is the preset's default, and a file of the same name."""
    words = ["--run-dir", str(trained_run.path), "--resume"]
    own = trained_run.read_config()
    rates = "optimizer.learning_rate"
    default = get_preset("smoke").config.optimizer.learning_rate
    other = RunDirectory(tmp_path / "other")
    other.create(with_settings(own, {rates: 0.01}), preset="smoke")
    begun = ["--run-dir", str(other.path), "--resume"]
    for named, options, setting in (
        ("smoke", ["--optimizer.learning-rate", str(default), *begun], rates),
        (str(other.config_file), words, rates),
    ):
        with pytest.raises(SystemExit) as ended:
            train_module.main([named, *options])
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert f"to resume it, received: other values of {setting}\n" in said


def test_what_a_killed_process_wrote_in_part_does_not_stay(tmp_path):
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    for name in (".0af3.keras", "epoch-1.keras"):
        (run.checkpoints / name).write_text("")

    class Model:
        def save(self, path):
            path.write_text("whole")

    run.save_checkpoint(Model(), 2)
    assert run.checkpoint_epochs() == [1, 2]
    assert len(list(run.checkpoints.iterdir())) == 2


def test_an_option_is_given_once(capsys):
    with pytest.raises(SystemExit) as ended:
        train_module.main(
            ["smoke", "--training.epochs", "1", "--training.epochs=2"]
        )
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "option once" in said
    assert "--training.epochs 2 times" in said


def test_steps_that_cannot_be_made_leave_no_run(data_dir, tmp_path, capsys):
    words = _command(tmp_path / "run", data_dir)[3:]
    with pytest.raises(SystemExit):
        train_module.main([*words, "--steps-per-execution", "5"])
    assert "steps_per_execution to divide the" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--objective.group-size", "7"], "multiple of group_size=7"),
        (["--evaluation.watched-betas", "1", "1"], "watched_betas once"),
        (
            [*("--beta.distribution", "choice"), "--beta.values", "1", "1"],
            "received: ",
        ),
    ],
)
def test_what_the_model_would_refuse_leaves_no_run(
    settings, said, data_dir, tmp_path, capsys
):
    words = _command(tmp_path / "run", data_dir)[3:]
    with pytest.raises(SystemExit) as ended:
        train_module.main([*words, *settings])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_where_its_data_have_moved(trained_run, smoke_config):
    data = dataclasses.replace(smoke_config.data, data_dir="/elsewhere")
    moved = dataclasses.replace(smoke_config, data=data)
    check_same_config(moved, smoke_config, trained_run)
    other = dataclasses.replace(moved, data=dataclasses.replace(data, name="x"))
    with pytest.raises(InputError, match="other values of data.name$"):
        check_same_config(other, smoke_config, trained_run)


def test_a_run_of_a_file_is_known_by_the_file(
    config_file, tmp_path, monkeypatch
):
    asked = {}

    def train_(*_, **given):
        asked.update(given)
        return None, RunDirectory(tmp_path)

    monkeypatch.setattr(train_module, "train", train_)
    train_module.main([str(config_file), "--run-dir", str(tmp_path / "run")])
    assert asked["preset"] == str(config_file)


@pytest.mark.slow
def test_a_run_in_parts_is_the_run(trained_run, data_dir, tmp_path):
    """A process that gives every operation one thread."""
    run = RunDirectory(tmp_path / "parts")
    subprocess.run(
        _command(run.path, data_dir, "--batch-parts", "2"),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for row, other in zip(_log_rows(trained_run), _log_rows(run), strict=True):
        for name, value in row.items():
            assert float(other[name]) == pytest.approx(
                float(value), rel=1e-3
            ), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("2", "--training.jit-compile"), "jit_compile=True"),
        (("2", "--strategy", "mirrored"), "strategy='mirrored'"),
        (("0",), "--batch-parts of 1 to"),
        (("999",), "--batch-parts of 1 to"),
    ],
)
def test_parts_that_cannot_be_are_refused_before_anything_is_written(
    words, said, tmp_path, capsys
):
    with pytest.raises(SystemExit) as ended:
        train_module.main(
            ["smoke", "--run-dir", str(tmp_path / "run"), "--batch-parts"]
            + list(words)
        )
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_run_ends_as_the_uninterrupted_one(data_dir, tmp_path):
    more = ("--training.epochs", "4", "--training.pictures-every", "0")
    whole = RunDirectory(tmp_path / "whole")
    subprocess.run(
        _command(whole.path, data_dir, *more),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    killed = RunDirectory(tmp_path / "killed")
    process = subprocess.Popen(
        _command(killed.path, data_dir, *more),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    happens(killed.checkpoint_epochs, OF_PROCESS)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert killed.checkpoint_epochs()
    assert not killed.model_file.exists()
    resumed = subprocess.run(
        _command(killed.path, data_dir, *more, "--resume"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "continued after epoch" in resumed.stdout
    assert _log_rows(killed) == _log_rows(whole)
    expected = whole.load_model().get_weights()
    received = killed.load_model().get_weights()
    for a, b in zip(expected, received, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_part_of_a_run_is_as_long_as_the_run(smoke_config, tmp_path):
    """Else KL warm-up would take its share of the part."""
    config = dataclasses.replace(
        smoke_config,
        training=dataclasses.replace(smoke_config.training, epochs=3),
    )
    model, _ = train(config, tmp_path / "run", until_epoch=1, verbose=0)
    steps = int(model.optimizer.iterations)
    assert int(model._run_length) == 3 * steps


def test_a_finished_run_is_resumed_without_change(
    trained_run, smoke_config, tmp_path
):
    run = RunDirectory(shutil.copytree(trained_run.path, tmp_path / "run"))
    before = run.log_file.read_bytes()
    train(smoke_config, run.path, resume=True, verbose=0)
    assert run.log_file.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "sentence"),
    [("1e30", "stopped being finite"), ("0.5", "left what the run had seen")],
)
def test_divergence_ends_with_code_3_and_a_sentence(
    rate, sentence, data_dir, tmp_path, capsys
):
    arguments = ["--optimizer.learning-rate", rate]
    arguments += ["--optimizer.clip-ratio", "None"]
    with pytest.raises(SystemExit) as ended:
        train_module.main(_command(tmp_path / "run", data_dir, *arguments)[3:])
    assert ended.value.code == 3
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(rf"error: .*{sentence} in epoch \d, step \d+ .*", said)
    run = RunDirectory(tmp_path / "run")
    left = run.checkpoint_epochs()
    assert (
        f"last checkpoint: {f'epoch {left[-1]}' if left else 'none'}." in said
    )
    assert not run.model_file.exists()


@pytest.mark.slow
def test_divergence_keeps_the_checkpoints_before_it(smoke_config, tmp_path):
    class Destroy(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.decoder.stages[-1].layer.kernel.assign_add(
                    keras.ops.ones((3, 3, 4, 3)) * 1e9
                )

    longer = _with_training(smoke_config, epochs=3)
    with pytest.raises(TrainingDiverged, match=r"epoch 2.*checkpoint: epoch 1"):
        train(longer, tmp_path / "run", verbose=0, hooks=(Destroy(),))
    assert RunDirectory(tmp_path / "run").checkpoint_epochs() == [1]


@pytest.mark.slow
def test_fixed_weight_runs_watch_and_score_their_own_beta(
    smoke_config, tmp_path
):
    from training.evaluate import evaluate

    fixed = dataclasses.replace(
        _with_training(smoke_config, epochs=1, pictures_every=0),
        beta=dataclasses.replace(
            smoke_config.beta, distribution="constant", values=(16.0,)
        ),
    )
    model, run = train(fixed, tmp_path / "run", verbose=0)
    assert model.watched == [{"beta": 16.0}]
    assert [p["beta"] for p in evaluate(run)] == [16.0]


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_a_sentence_and_keeps_checkpoints(
    data_dir, tmp_path
):
    """A limit on the size of files stands in for a full disk: the kernel
    refuses the write with an OSError in both."""
    run = RunDirectory(tmp_path / "run")
    more = ("--training.epochs", "1")
    subprocess.run(
        _command(run.path, data_dir, *more),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    checkpoint = next(run.checkpoints.glob("*.keras"))
    limit = checkpoint.stat().st_size // 2
    before = checkpoint.read_bytes()
    run.model_file.unlink()
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from training.train import main\n"
        "main(sys.argv[1:])\n"
    )
    arguments = _command(run.path, data_dir, *more, "--resume")[3:]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error: could not save")
    assert "Traceback" not in ended.stderr
    assert checkpoint.read_bytes() == before
    assert not run.model_file.exists()
    assert [p.name for p in run.path.glob(".*")] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "rendered_shapes3d"),
        (["smoke", "--data.nam", "x"], "--data.name"),
        (["smoke", "--model.likelihood", "x"], "'bernoulli', 'gaussian'"),
        (["smoke", "--beta.low", "0"], "expected 0 < low < high"),
        (["smoke", "--beta.low", "nan"], "without NaN"),
        (["smoke", "--training.batch-size", "0"], "above 0"),
        (["smoke", "--data.name", "no_such_set"], "TFDS data set"),
        (["smoke", "--data.name", "cifar10:1.0.0"], "TFDS data set"),
        (["smoke", "--data.name", "./no_such_folder"], "a folder of pictures"),
        (["smoke", "--run-dir", "no_such_run", "--resume"], "config.json"),
        (["no_such.json"], "no_such.json, which does not exist"),
        (["no_such.json", "--help"], "no_such.json, which does not exist"),
    ],
)
def test_wrong_command_lines_end_with_code_2_and_what_would_be_right(
    arguments, sentence, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        train_module.main(arguments)
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_help_lists_presets_and_settings(capsys):
    with pytest.raises(SystemExit) as ended:
        train_module.main(["--help"])
    assert ended.value.code == 0
    assert "cifar10_paper" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        train_module.main(["cifar10", "--help"])
    assert "--objective.normalization" in capsys.readouterr().out


def test_without_a_preset_the_default_is_trained():
    name, _, arguments = train_module.parse(["--training.epochs", "3"])
    assert name == "rendered_shapes3d"
    assert arguments.config.training.epochs == 3


@pytest.fixture
def config_file(trained_run, tmp_path):
    """A run's own `config.json`, with something to override."""
    content = json.loads(trained_run.config_file.read_text())
    content["config"]["optimizer"]["learning_rate"] = 0.007
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    return path


def test_a_configuration_file_stands_where_a_preset_stands(config_file):
    name, default, arguments = train_module.parse(
        [str(config_file), "--training.epochs", "1"]
    )
    assert name == "mine"
    assert arguments.config.optimizer.learning_rate == 0.007
    assert arguments.config == _with_training(default.config, epochs=1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "cannot be used (Expecting property name"),
        ("[]", "it has no entry 'config'"),
        ('{"config": {"family": "vae", "dota": {}}}', "received: 'dota'"),
        (
            '{"config": {"family": "vae", "beta": {"lowest": 1}}}',
            "received: 'lowest'",
        ),
        (
            '{"config": {"family": "vae", "beta": {"low": -1.0}}}',
            "expected 0 < low < high",
        ),
        ('{"config": {"beta": {}}}', "it names no family"),
        (
            '{"config": {"family": "fae"}}',
            "a family among ['compression', 'tabular', 'vae']",
        ),
        ('{"config": {"family": "os:path"}}', "an instance of yoto_tf"),
        ("\udcff", "cannot be used"),
    ],
)
def test_damaged_configuration_files_are_named_with_code_2(
    content, sentence, capsys, tmp_path
):
    path = tmp_path / "bad.json"
    path.write_bytes(content.encode("utf8", "surrogateescape"))
    with pytest.raises(SystemExit) as ended:
        train_module.main([str(path)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert sentence in said
