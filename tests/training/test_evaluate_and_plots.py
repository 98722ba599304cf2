"""From a trained run to `curve.csv` and figures, and what may be wrong."""

import csv
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from training import evaluate as evaluate_module
from training import figures
from training import plots
from training.evaluate import evaluate
from yoto_tf.errors import InputError
from yoto_tf.evaluation import hypervolume
from yoto_tf.run_directory import RunDirectory

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def own_run(trained_run, tmp_path):
    """A copy of the trained run that a test may damage."""
    shutil.copytree(trained_run.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_the_curve_has_a_row_per_beta_with_consistent_units(trained_run):
    rows = trained_run.read_curve()
    assert [row["beta"] for row in rows] == [1.0, 16.0, 256.0]
    for row in rows:
        full = row["distortion"] + row["beta"] * row["rate"]
        assert row["full_loss"] == pytest.approx(full, rel=1e-6)
        bits = row["full_loss"] / (32 * 32 * 3 * np.log(2))
        assert row["full_loss_bpd"] == pytest.approx(bits, rel=1e-6)


def test_the_evaluation_says_how_it_was_made(trained_run):
    content = json.loads(trained_run.evaluation_file.read_text())
    assert content["split"] == "test"
    assert content["num_examples"] == 128
    assert content["units"] == "nats per image"
    reference = content["hypervolume_reference"]
    points = [[r["rate"], r["distortion"]] for r in trained_run.read_curve()]
    assert content["hypervolume"] == pytest.approx(
        hypervolume(points, [reference["rate"], reference["distortion"]])
    )
    assert reference["distortion"] == pytest.approx(3072 * np.log(2))


def test_other_betas_can_be_scored_and_the_result_is_the_same_again(own_run):
    first = evaluate(own_run, [{"beta": 2.0}, {"beta": 700.0}])
    second = evaluate(own_run, [{"beta": 2.0}, {"beta": 700.0}], batch_size=37)
    assert [p["beta"] for p in first] == [2.0, 700.0]
    for a, b in zip(first, second, strict=True):
        assert a["rate"] == pytest.approx(b["rate"], rel=1e-5)


def test_values_that_were_not_trained_are_named(own_run):
    said = []
    evaluate(
        own_run, [{"beta": b} for b in (0.01, 16.0, 1e4, 1e4)], log=said.append
    )
    (sentence,) = [s for s in said if "not trained" in s]
    ((low, high),) = own_run.load_model().loss_parameters.facts("beta")[
        "ranges"
    ]
    assert sentence == (
        "not trained at beta=0.01; beta=10000: what is scored there is an "
        f"extrapolation of {own_run.path}, which was trained with beta between "
        f"{low:g} and {high:g}"
    )
    content = json.loads(own_run.evaluation_file.read_text())
    assert content["not_trained"] == [{"beta": 0.01}, {"beta": 1e4}]
    # Nobody can ask for them: what the model gives is the other point's.
    assert "envelope" not in content
    reference = content["hypervolume_reference"]
    (row,) = [r for r in own_run.read_curve() if r["beta"] == 16]
    assert content["hypervolume"] == pytest.approx(
        (reference["rate"] - row["rate"])
        * (reference["distortion"] - row["distortion"])
    )
    said.clear()
    evaluate(own_run, log=said.append)
    assert not [s for s in said if "not trained" in s]
    content = json.loads(own_run.evaluation_file.read_text())
    assert content["not_trained"] == []


@pytest.mark.parametrize("beta", ["0", "-1", "nan", "inf", "-inf"])
def test_values_that_cannot_be_are_refused_before_anything_is_scored(
    own_run, beta, capsys
):
    before = own_run.curve_file.read_text()
    with pytest.raises(SystemExit) as ended:
        evaluate_module.main([str(own_run.path), "--grid", f"beta=16,{beta}"])
    assert ended.value.code == 2
    assert (
        f"expected beta above 0, received: beta={beta}"
        in capsys.readouterr().err
    )
    assert own_run.curve_file.read_text() == before


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_of_nothing_is_refused(own_run, size):
    with pytest.raises(InputError, match=f"received: batch_size={size}"):
        evaluate(own_run, batch_size=size)


@pytest.mark.slow
def test_the_commands_work_in_processes_of_their_own(own_run):
    """What one process saved is loaded by another, without what the first
    had imported."""
    for module in ("evaluate", "plots"):
        ended = subprocess.run(
            [sys.executable, "-m", f"training.{module}", str(own_run.path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    names = sorted(p.name for p in own_run.figures.iterdir())
    assert names == [
        "interpolation.png",
        "latent_traversal.png",
        "latent_traversal_by_value.png",
        "prior_samples.png",
        "reconstructions.png",
        "trade_off.png",
    ]


@pytest.mark.slow
def test_figures_are_legible_pictures_with_the_images_in_them(own_run):
    written = plots.plot([own_run], log=lambda sentence: None)
    for path in written:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape[1] >= 1000
        # Ink of many shades, not an empty page.
        shades = pixels.astype("int32") @ [1 << 16, 1 << 8, 1]
        assert len(np.unique(shades)) > 100


@pytest.mark.slow
def test_several_runs_share_one_curve_figure(own_run, trained_run, tmp_path):
    written = plots.plot(
        [own_run, trained_run],
        to=tmp_path / "figures",
        formats=("pdf",),
        log=lambda sentence: None,
    )
    assert len(written) == len({p.name for p in written}) == 11
    assert all(p.read_bytes().startswith(b"%PDF") for p in written)


@pytest.mark.slow
def test_figures_of_several_runs_leave_those_of_each(own_run, tmp_path):
    shutil.copytree(own_run.path, tmp_path / "other")
    other = RunDirectory(tmp_path / "other")
    plots.plot([own_run], log=lambda sentence: None)
    alone = (own_run.figures / "trade_off.png").read_bytes()
    plots.plot([own_run, other], log=lambda sentence: None)
    assert (own_run.figures / "trade_off.png").read_bytes() == alone
    assert (own_run.figures / "compared_trade_off.png").read_bytes() != alone


def test_what_does_not_compare_is_said(own_run, tmp_path):
    shutil.copytree(own_run.path, tmp_path / "other")
    other, said = RunDirectory(tmp_path / "other"), []
    content = json.loads(other.evaluation_file.read_text())
    other.write_json(
        other.evaluation_file, {**content, "test_fingerprint": "others"}
    )
    config = json.loads(other.config_file.read_text())
    config["config"]["model"]["likelihood"] = "gaussian"
    other.write_json(other.config_file, config)
    assert plots._part([own_run, other], said.append) == "the test split"
    (sentence,) = said
    assert "have different model.likelihood, test examples" in sentence
    other.write_json(other.evaluation_file, {**content, "split": "validation"})
    assert plots._part([other], said.append) == "validation examples"
    with pytest.raises(InputError, match="test and validation examples"):
        plots._part([own_run, other], said.append)


def test_a_run_scored_outside_of_its_range_has_no_pictures(own_run):
    said = []
    evaluate(own_run, [{"beta": 1e4}, {"beta": 2e4}], log=said.append)
    written = plots.plot([own_run], log=said.append)
    assert [p.name for p in written] == ["trade_off.png"]
    assert said[-1].startswith(f"no pictures of {own_run.path}")


@pytest.mark.slow
def test_names_of_runs_are_as_long_as_it_takes_to_tell_them_apart(
    own_run, tmp_path
):
    base = tmp_path / ("a-long-name-of-a-folder-" * 6)
    runs = []
    for path in ("first/run", "second/run"):
        shutil.copytree(own_run.path, base / path)
        runs.append(RunDirectory(base / path))
    # One of them twice, under another name of its folder.
    runs.append(RunDirectory(base / "first" / ".." / "first" / "run"))
    written = plots.plot(
        runs, to=tmp_path / "figures", log=lambda sentence: None
    )
    assert {p.name for p in written} == {"trade_off.png"} | {
        f"{run}_run_{picture}.png"
        for run in ("first", "second")
        for picture in (
            "interpolation",
            "latent_traversal",
            "latent_traversal_by_value",
            "prior_samples",
            "reconstructions",
        )
    }
    # Room for the axes, not for the folders' names alone.
    figures.save(
        figures.trade_off_figure(
            {"folder/" * 30 + name: own_run.read_curve() for name in "ab"},
            own_run.family(),
        ),
        tmp_path / "long.png",
    )


def test_a_run_that_was_not_evaluated_is_told_what_to_do(own_run):
    own_run.curve_file.unlink()
    with pytest.raises(InputError, match="first run: python -m training"):
        plots.plot([own_run])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.json", "{", "config.json of this version"),
        (
            "config.json",
            '{"config": {"family": "vae", "dota": {}}}',
            "received: 'dota'",
        ),
        ("model.keras", "not a zip", "expected a .keras file"),
        ("curve.csv", "beta,rate\n1,x\n", "expected a curve.csv"),
        ("evaluation.json", "{", "expected an evaluation.json"),
    ],
)
def test_damaged_files_are_named_with_code_2(
    own_run, name, content, sentence, capsys
):
    (own_run.path / name).write_text(content)
    with pytest.raises(SystemExit) as ended:
        plots.main([str(own_run.path)])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_log_that_is_cut_off_is_named(own_run):
    text = own_run.log_file.read_text()
    own_run.log_file.write_text(text.rstrip("\n").rpartition(",")[0])
    with pytest.raises(InputError, match="expected a log.csv of training"):
        own_run.read_log()


def test_no_run_is_refused_with_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        plots.main([])
    assert ended.value.code == 2
    assert "one run directory or more" in capsys.readouterr().err


def test_what_is_no_run_directory_is_refused_with_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        evaluate_module.main([str(tmp_path)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "error: expected a run directory written by training.train" in said


def test_an_unfinished_run_is_told_to_continue(own_run):
    own_run.model_file.unlink()
    with pytest.raises(InputError, match="--resume"):
        evaluate(own_run)


def test_every_column_of_the_curve_is_a_number(trained_run):
    with open(trained_run.curve_file, newline="") as file:
        rows = list(csv.DictReader(file))
    values = [float(v) for row in rows for v in row.values()]
    assert np.isfinite(values).all()
    assert {row["on_pareto_front"] for row in rows} <= {"0", "1"}
