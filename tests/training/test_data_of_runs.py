"""Data that change between training, resuming, scoring and drawing."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from training.evaluate import evaluate
from training.search.directory import SearchDirectory
from training.search.settings import Search
from training.search.space import space_class
from training.study import outcome
from training.study import runner
from training.study import worker
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from training.test_split import load_test_split
from training.test_split import unseen
from training.train import train
from training.tune import tune
from yoto_tf.data import load_images
from yoto_tf.data_record import fingerprint
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory


@pytest.fixture
def own_run(trained_run, tmp_path):
    """A copy of the trained run that a test may change."""
    shutil.copytree(trained_run.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


@pytest.fixture(scope="module")
def images(smoke_config):
    return load_images(smoke_config.data)


def without_one(images):
    numbers = {**images.num_examples, "train": len(images.train) - 1}
    return dataclasses.replace(
        images, train=images.train[1:], num_examples=numbers
    )


def with_three_leaked(images):
    test = np.concatenate([images.test[:20], images.train[:2]])
    test = np.concatenate([test, images.validation[:1]])
    return dataclasses.replace(images, test=test)


def quiet(sentence):
    pass


# Continuing.


def test_a_run_keeps_what_it_was_trained_on(trained_run, images):
    known = trained_run.data.read()
    assert known["version"] == "rendered_shapes3d/tiny/1.0.0"
    assert known["example_shape"] == [32, 32, 3]
    assert known["num_examples"] == {
        "train": len(images.train),
        "validation": len(images.validation),
        "test": 128,
    }
    assert known["fingerprint"] == fingerprint(
        np.concatenate([images.train, images.validation])
    )


def test_a_run_is_not_resumed_on_other_images(own_run, smoke_config, images):
    before = own_run.log_file.read_bytes()
    with pytest.raises(InputError, match=r"\d+ train images in place of \d+"):
        train(
            smoke_config,
            own_run.path,
            resume=True,
            verbose=0,
            splits=without_one(images),
        )
    assert own_run.log_file.read_bytes() == before


def test_a_search_is_not_resumed_on_other_images(
    smoke_config, images, tmp_path
):
    space = space_class("vae")(learning_rate=(0.003, 0.001))
    search = Search(config=smoke_config, space=space, oracle="random", trials=1)
    directory = SearchDirectory(tmp_path / "search")
    directory.create(search)
    directory.data.write(without_one(images))
    with pytest.raises(InputError, match=r"\d+ train images in place of \d+"):
        tune(search, directory.path, resume=True, log=quiet)


@pytest.fixture
def study(own_run, tmp_path):
    """A study with one run, finished on the images of the trained run."""
    spec_file = tmp_path / "tiny.toml"
    spec_file.write_text(
        'summary = "x"\npreset = "smoke"\nseeds = [0]\n'
        "grid.beta = [1, 16, 256]\n[methods.ours]\n"
    )
    spec = load_spec(str(spec_file))
    planned = planned_runs(spec)
    folder = tmp_path / "runs"
    shutil.copytree(own_run.path, folder / planned[0].name)
    return spec, planned, folder


def test_a_study_is_not_continued_on_other_images(study, images, monkeypatch):
    _, planned, folder = study
    begun = [folder / one.name for one in planned] + [folder / "not_begun"]
    monkeypatch.setattr(worker, "splits_of", lambda config: images)
    assert worker.prepare(planned[0].config.data, begun) is None
    monkeypatch.setattr(worker, "splits_of", lambda config: without_one(images))
    reason = worker.prepare(planned[0].config.data, begun)
    assert "train images in place of" in reason


def test_runs_of_earlier_versions_are_counted_by_a_study(
    study, tmp_path, monkeypatch
):
    spec, planned, folder = study
    assert runner.without_record(folder, planned) == []
    (folder / planned[0].name / "data.json").unlink()
    monkeypatch.setattr(outcome, "write_report", lambda *arguments: None)
    said = []
    outcome.run_study(
        spec, planned, folder, tmp_path / "to", 1, "command", said.append
    )
    assert (
        "no record of their data, as those of earlier versions: 1"
        in " ".join(said)
    )


# Scoring.


def test_images_that_were_trained_on_are_left_out(own_run, images):
    said = []
    kept, facts = unseen(own_run, with_three_leaked(images), said.append)
    np.testing.assert_array_equal(kept, images.test[:20])
    assert facts["num_left_out"] == 3
    assert facts["test_fingerprint"] == fingerprint(images.test[:20])
    assert said == [
        f"3 of 23 test images are left out: {own_run.path} was trained on them"
    ]


def test_rows_of_the_same_values_are_not_the_same_row(own_run, images):
    """Two customers of one age and income: what is scored is the whole test
    part of the table that the run was cut from."""
    table = dataclasses.replace(
        with_three_leaked(images), noun="rows", told_by_values=False
    )
    said = []
    kept, facts = unseen(own_run, table, said.append)
    assert len(kept) == 23
    assert facts["num_left_out"] == 0
    assert said == []
    other = dataclasses.replace(table, version="another", own_test=False)
    with pytest.raises(InputError, match="was trained on, received: another"):
        unseen(own_run, other, quiet)


def test_the_evaluation_says_what_was_left_out(own_run, images):
    expected = evaluate(own_run, [{"beta": 16.0}], log=quiet)
    before = json.loads(own_run.evaluation_file.read_text())
    assert before["num_left_out"] == 0
    assert before["data_differences"] == []
    assert before["data_version"] == "rendered_shapes3d/tiny/1.0.0"
    assert before["test_fingerprint"] == fingerprint(images.test)
    leaked = dataclasses.replace(
        images,
        test=np.concatenate([images.test, images.train[:5]]),
        num_examples={**images.num_examples, "test": 133},
    )
    said = []
    points = evaluate(own_run, [{"beta": 16.0}], splits=leaked, log=said.append)
    after = json.loads(own_run.evaluation_file.read_text())
    assert after["num_examples"] == 128
    assert after["num_left_out"] == 5
    assert after["data_differences"] == ["133 test images in place of 128"]
    assert len(said) == 2
    # As if the five had not been there.
    assert points[0]["rate"] == pytest.approx(expected[0]["rate"], rel=1e-5)


def test_nothing_is_scored_if_all_was_trained_on(own_run, images):
    leaked = dataclasses.replace(images, test=images.train[:10])
    with pytest.raises(InputError, match="two test images or more"):
        unseen(own_run, leaked, quiet)


def test_another_version_may_change_a_test_split_but_not_cut_one(
    own_run, images
):
    """Of one split the version decides which images are for testing."""
    other = dataclasses.replace(images, version="rendered_shapes3d/tiny/2.0.0")
    said = []
    kept, facts = unseen(own_run, other, said.append)
    assert len(kept) == len(images.test)
    assert facts["data_differences"] == [
        "rendered_shapes3d/tiny/2.0.0 in place of rendered_shapes3d/tiny/1.0.0"
    ]
    assert "not the data" in said[0]
    cut = dataclasses.replace(other, own_test=False)
    with pytest.raises(InputError, match=r"2\.0\.0 in place of"):
        unseen(own_run, cut, quiet)


def test_images_of_another_size_are_not_scored(own_run, images):
    other = dataclasses.replace(images, test=images.test[:, :16, :16])
    with pytest.raises(InputError, match=r"\[16, 16, 3\] in place of"):
        unseen(own_run, other, quiet)


def test_runs_of_earlier_versions_are_scored_and_said_to_be_unchecked(
    own_run, images
):
    own_run.data.facts_file.unlink()
    own_run.data.digests_file.unlink()
    said = []
    kept, facts = unseen(own_run, images, said.append)
    assert len(kept) == 128
    assert facts["num_left_out"] is None
    assert "has no record of its data" in said[0]


# From a folder of pictures to its scores.


def picture(path, number):
    rng = np.random.default_rng(number)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)


def test_no_renaming_makes_a_picture_both_trained_on_and_scored(
    smoke_config, tmp_path
):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(60):
        picture(folder / f"{number:02}.png", number)
    data = dataclasses.replace(
        smoke_config.data, name=str(folder), image_size=None, data_dir=None
    )
    config = dataclasses.replace(smoke_config, data=data)
    begun = load_images(data)
    run = RunDirectory(tmp_path / "run")
    run.create(config)
    run.data.begin_or_continue(begun, False, quiet)
    trained = {i.tobytes() for i in [*begun.train, *begun.validation]}
    # A tenth of these falls into the test by its new name.
    for path in sorted(folder.iterdir())[:40]:
        path.rename(folder / f"renamed_{path.name}")
    for number in range(100, 130):
        picture(folder / f"{number}.png", number)
    # A smaller one does not change the size of the model that is there.
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    said = []
    kept, facts = load_test_split(run, said.append)
    assert kept.shape[1:] == (32, 32, 3)
    assert len(kept) >= 2
    assert not trained & {i.tobytes() for i in kept}
    again = load_images(data, parts=("test",)).test
    leaked = sum(i.tobytes() in trained for i in again)
    assert facts["num_left_out"] == leaked > 0
    assert f"{leaked} of {len(again)} test images are left out" in said[-1]
    with pytest.raises(InputError, match="begun with, received"):
        run.data.begin_or_continue(load_images(data), True, quiet)


@pytest.mark.slow
def test_three_pictures_are_enough_to_train_score_draw_and_export(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        picture(folder / f"{number}.png", number)
    run = tmp_path / "run"
    commands = [
        ["training.train", "smoke", "--run-dir", str(run)]
        + ["--data.name", str(folder), "--training.epochs", "1"],
        ["training.evaluate", str(run)],
        ["training.plots", str(run)],
        ["export.saved_model", str(run), "--to", str(tmp_path / "model")],
    ]
    for command in commands:
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    manifest = tmp_path / "model/1/assets.extra/manifest.json"
    known = json.loads(manifest.read_text())["data"]
    assert known["version"] == "folder"
    assert known["num_examples"] == {"train": 1, "validation": 0, "test": 2}
