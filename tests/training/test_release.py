"""From a run to a released model."""

import json
import shutil

import numpy as np
import pytest

from training import release as release_module
from training.release import release
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory


def test_a_released_run_answers_as_the_run_and_says_how_it_was_made(
    trained_run, tmp_path
):
    credits = "Taken by nobody, CC0."
    path = release(trained_run, "Four latents are few.", tmp_path, credits)
    mine = RunDirectory(path)
    images = np.load(mine.examples_file)["inputs"]
    assert images.shape == (24, 32, 32, 3)
    np.testing.assert_array_equal(
        mine.load_model().reconstruct(images, 4.0),
        trained_run.load_model().reconstruct(images, 4.0),
    )
    # Without the optimizer's two numbers per weight.
    size = trained_run.model_file.stat().st_size
    assert mine.model_file.stat().st_size < size / 2
    assert mine.read_curve() == trained_run.read_curve()
    card = (path / "README.md").read_text()
    row = trained_run.read_curve()[0]
    assert f"{row['full_loss']:.1f}" in card
    assert "Four latents are few." in card
    assert "\n\nTaken by nobody, CC0.\n\n" in card
    assert "128 of the test split" in card
    # Where it was made stays there.
    data_dir = trained_run.read_config().data.data_dir
    for file in path.iterdir():
        content = file.read_bytes()
        assert str(data_dir).encode() not in content
        assert str(trained_run.path).encode() not in content


def test_a_release_that_fails_leaves_the_one_of_before(
    trained_run, tmp_path, monkeypatch
):
    path = release(trained_run, to=tmp_path / "released")
    before = {f.name: f.read_bytes() for f in path.iterdir()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunDirectory, "save_model", full)
    with pytest.raises(OSError, match="No space"):
        release(trained_run, "Other limits.", tmp_path / "released")
    assert {f.name: f.read_bytes() for f in path.iterdir()} == before
    assert [f.name for f in path.parent.iterdir()] == [path.name]


def test_the_card_tells_what_trained_and_what_scored(trained_run, tmp_path):
    shutil.copytree(trained_run.path, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    for file, commit in ((run.config_file, "a" * 40),):
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "git_revision": commit}))
    scored = json.loads(run.evaluation_file.read_text())["git_revision"]
    card = (release(run, to=tmp_path / "released") / "README.md").read_text()
    assert f"commit `{'a' * 40}`, TensorFlow" in card
    assert f"; scored by commit `{scored}`." in card


def test_a_run_of_other_settings_is_no_release_of_its_preset(
    trained_run, tmp_path
):
    shutil.copytree(trained_run.path, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    content = json.loads(run.config_file.read_text())
    content["config"]["model"]["latent_size"] = 7
    run.config_file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="preset 'smoke' but.*latent_size"):
        release(run, to=tmp_path / "released")
    assert not (tmp_path / "released").exists()


def test_scores_of_held_out_examples_are_no_card_of_the_test_split(
    trained_run, tmp_path
):
    shutil.copytree(trained_run.path, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    content = json.loads(run.evaluation_file.read_text())
    run.write_json(run.evaluation_file, {**content, "split": "validation"})
    with pytest.raises(InputError, match="scored on validation examples"):
        release(run, to=tmp_path / "released")
    assert not (tmp_path / "released").exists()


def test_a_run_that_is_not_evaluated_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        release_module.main([str(tmp_path)])
    assert ended.value.code == 2
    assert "config.json" in capsys.readouterr().err


def test_another_data_set_length_or_optimizer_is_named_in_the_card(
    trained_run, tmp_path
):
    shutil.copytree(trained_run.path, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    content = json.loads(run.config_file.read_text())
    content["config"]["training"]["seed"] = 7
    content["config"]["optimizer"]["warmup_steps"] = 9
    content["config"]["training"]["jit_compile"] = True
    run.config_file.write_text(json.dumps(content))
    path = release(run, to=tmp_path / "released")
    card = (path / "README.md").read_text()
    for words in (
        ("optimizer.warmup_steps = 9", "training.seed = 7"),
        ("--optimizer.warmup-steps 9", "--training.seed 7"),
        ("training.jit_compile = True", "--training.jit-compile"),
    ):
        assert all(word in card for word in words)
    assert "the preset with" in card


def test_settings_are_words_of_a_command_line():
    values = {"a": {"on_it": True, "off": False, "at": (1, 2), "name": "a b"}}
    dotted = [f"a.{name}" for name in values["a"]]
    assert release_module._words(dotted, values) == (
        " --a.on-it --a.no-off --a.at 1 2 --a.name 'a b'"
    )


def test_a_run_scored_outside_of_its_range_is_no_release(trained_run, tmp_path):
    shutil.copytree(trained_run.path, tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    rows = run.curve_file.read_text().splitlines()
    rows.append(",".join(["4000", *rows[-1].split(",")[1:]]))
    run.curve_file.write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match="trained values.*beta=4000"):
        release(run, to=tmp_path / "released")
    assert not (tmp_path / "released").exists()
