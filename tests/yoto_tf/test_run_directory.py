"""Files of a run: written whole, read with care, never lost."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from yoto_tf.errors import InputError
from yoto_tf.errors import SaveError
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.files import written_whole
from yoto_tf.run_directory import RunDirectory

ROOT = pathlib.Path(__file__).parents[2]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write():
        with written_whole(path) as aside:
            aside.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match="could not save .*No space left"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_written_through_and_pipes_are_left(tmp_path):
    real, link = tmp_path / "store" / "real.txt", tmp_path / "link.txt"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(real)
    real.chmod(0o600)
    with written_whole(link) as aside:
        aside.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    # What others may not read they may not read then.
    assert real.stat().st_mode & 0o777 == 0o600
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "store"):
        with (
            pytest.raises(SaveError, match="a file to write.*a device or a"),
            written_whole(path),
        ):
            raise AssertionError("nothing is to be written")
    assert (tmp_path / "pipe").is_fifo()


def test_a_write_that_ends_well_replaces_the_file(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with written_whole(path) as aside:
        aside.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_run_that_was_killed_over_its_first_file_is_begun_again(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from yoto_tf.families.vae.config import ExperimentConfig\n"
        "from yoto_tf.run_directory import RunDirectory\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "RunDirectory(sys.argv[1]).create(ExperimentConfig())\n"
    )
    run = RunDirectory(tmp_path / "run")
    killed = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], cwd=ROOT, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [p.suffix for p in run.path.iterdir()] == [".json"]
    assert not run.config_file.exists()
    run.create(ExperimentConfig())
    assert run.read_config() == ExperimentConfig()
    with pytest.raises(InputError, match="which exists"):
        run.create(ExperimentConfig())


def test_a_damaged_checkpoint_is_passed_over(trained_run, tmp_path):
    shutil.copytree(trained_run.path, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    newest = run.checkpoints / "epoch-0002.keras"
    newest.write_bytes(newest.read_bytes()[:5000])
    said = []
    model, epoch = run.load_checkpoint(warn=said.append)
    assert epoch == 1
    assert model.optimizer.iterations > 0
    assert len(said) == 1
    assert "epoch-0002.keras" in said[0]
    (run.checkpoints / "epoch-0001.keras").write_bytes(b"")
    with pytest.raises(InputError, match="2 damaged ones; remove them"):
        run.load_checkpoint()


def test_checkpoints_carry_the_state_of_random_draws(trained_run):
    first = trained_run.load_checkpoint()[0]
    second = trained_run.load_model()
    assert first.draw_seed.state.numpy()[1] > 0
    assert (
        first.draw_seed.state.numpy().tolist()
        == second.draw_seed.state.numpy().tolist()
    )
    assert first.posterior.seed_generator.state.numpy()[1] > 0


def test_rows_of_the_log_after_a_checkpoint_are_dropped(tmp_path):
    run = RunDirectory(tmp_path)
    run.log_file.write_bytes(b"epoch,loss\r\n0,3.0\r\n1,2.0\r\n2,1")
    run.keep_log_until(2)
    assert run.log_file.read_bytes() == b"epoch,loss\r\n0,3.0\r\n1,2.0\r\n"
    run.keep_log_until(1)
    assert run.log_file.read_bytes() == b"epoch,loss\r\n0,3.0\r\n"


def test_names_of_several_loss_parameters_have_commas(tmp_path):
    run = RunDirectory(tmp_path)
    rows = [b'epoch,"a_at_x=1,y=2",loss\r\n', b"0,1,3\r\n", b"1,2,2\r\n"]
    run.log_file.write_bytes(b"".join([*rows, b"2,2"]))
    run.keep_log_until(2)
    assert run.log_file.read_bytes() == b"".join(rows)
    assert [row["loss"] for row in run.read_log()] == [3, 2]


def test_one_process_trains_a_run_at_a_time(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(ExperimentConfig())
    code = (
        "import sys\n"
        "from yoto_tf.run_directory import RunDirectory\n"
        "with RunDirectory(sys.argv[1]).locked(): pass\n"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    with run.locked():
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert "no other process is training" in ended.stderr
    subprocess.run(command, cwd=ROOT, check=True)
