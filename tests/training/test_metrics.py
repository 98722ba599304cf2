"""What is measured beside the scores, when it is asked for."""

import json
import math
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from training import metrics
from training import plots
from training.evaluate import evaluate
from training.evaluate import main
from training.metrics import table
from training.study import runner
from training.study.plan import PlannedRun
from yoto_tf.data import load_images
from yoto_tf.data import shapes3d_renderer
from yoto_tf.data import shapes3d_world
from yoto_tf.data.splits import load_factors
from yoto_tf.errors import InputError
from yoto_tf.families import Column
from yoto_tf.families import Metric
from yoto_tf.families import get_family
from yoto_tf.image_config import DataConfig
from yoto_tf.run_directory import RunDirectory

ROOT = pathlib.Path(__file__).parents[2]
VAE = get_family("vae")
FACTORS = {"a": np.zeros(3), "b": np.zeros(3)}


@pytest.fixture
def own_run(trained_run, tmp_path):
    shutil.copytree(trained_run.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_metrics_are_read_with_their_sizes():
    assert metrics.parsed((), VAE) == {}
    assert metrics.parsed(("dci", "nll=7"), VAE) == {"nll": 7, "dci": None}
    assert metrics.parsed(("all",), VAE) == {
        "nll": 100,
        "mutual_information": None,
        "disentanglement": None,
        "dci": None,
    }
    assert metrics.parsed(("all", "nll=7"), VAE)["nll"] == 7


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("mig",), "among all, nll, mutual_information.*'mig'"),
        (("nll=0",), "nll=NUMBER.*'nll=0'"),
        (("nll=",), "nll=NUMBER.*'nll='"),
        (("nll=²",), "nll=NUMBER.*'nll=²'"),
        (("dci=3",), "dci without a number.*'dci=3'"),
        (("all=3",), "all without a number.*'all=3'"),
        (("dci", "dci"), "once.*'dci' twice"),
    ],
)
def test_other_metrics_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        metrics.parsed(texts, VAE)


def test_a_family_without_metrics_says_so():
    with pytest.raises(InputError, match="has none, received: 'nll'"):
        metrics.parsed(("nll",), get_family("tabular"))


def test_without_factors_all_is_the_rest_and_a_name_is_refused():
    said = []
    asked = metrics.parsed(("all",), VAE)
    found = metrics.with_factors(asked, ("all",), VAE, None, said.append)
    assert list(found) == ["nll", "mutual_information"]
    assert "disentanglement, dci: left out" in said[0]
    texts = "all", "dci"
    with pytest.raises(InputError, match="for dci, received: data without"):
        metrics.with_factors(
            metrics.parsed(texts, VAE), texts, VAE, None, said.append
        )
    assert metrics.with_factors(asked, ("all",), VAE, FACTORS, None) == asked


class Counting:
    """A family of two metrics, one of them for two points at most."""

    metrics = {
        "cheap": Metric("Counts.", [Column("calls", "calls", ".0f")]),
        "dear": Metric("Doubles.", [Column("double", "double")], most=2),
    }


@pytest.mark.parametrize(
    ("shown", "expected"),
    [([2, 4], [2, 4]), ([], [1, 5]), ([1, 2, 4, 5], [1, 5]), ([4], [4])],
)
def test_what_is_dear_is_measured_where_it_matters(shown, expected):
    calls, said = [], []

    def measure(name, point, size):
        calls.append((point["x"], name))
        if name == "cheap":
            return {"calls": len(calls)}
        return {"double": 2 * point["x"]}

    grid = [{"x": float(x)} for x in range(1, 6)]
    rows, facts = metrics.measured(
        {"cheap": None, "dear": None},
        Counting,
        measure,
        grid,
        [{"x": float(x)} for x in shown],
        said.append,
    )
    # One point after the other, so that what a point needs is made once.
    assert [x for x, _ in calls] == sorted(x for x, _ in calls)
    measured = [r["double"] / 2 for r in rows if not math.isnan(r["double"])]
    assert measured == expected
    assert facts["dear"]["points"] == [{"x": float(x)} for x in expected]
    assert len(said) == len(calls) == 5 + len(expected)
    assert f"1 of {len(calls)} measured; 0 s left" in said[0]
    assert said[-1].endswith(f"{len(calls)} of {len(calls)} measured")


def test_what_was_measured_before_an_end_is_handed_on():
    def measure(name, point, size):
        if point["x"] > 3 and name == "cheap":
            raise KeyboardInterrupt
        return {"calls": point["x"]} if name == "cheap" else {"double": 0.5}

    found = []
    grid = [{"x": float(x)} for x in range(1, 6)]
    with pytest.raises(KeyboardInterrupt):
        metrics.measured(
            {"cheap": None, "dear": None},
            Counting,
            measure,
            grid,
            [],
            lambda _: None,
            lambda *given: found.extend(given),
        )
    rows, facts = found
    assert [row["calls"] for row in rows[:3]] == [1, 2, 3]
    assert all(math.isnan(row["calls"]) for row in rows[3:])
    assert facts["cheap"]["points"] == grid[:3]
    # Of the two where it is measured the first.
    assert facts["dear"]["points"] == grid[:1]


def test_bounds_and_what_is_missing_are_told_in_the_table():
    base = {"beta": 1.0, "information_ceiling": 6.0}
    rows = [
        base | {"information": 5.5, "information_at_least": 1},
        base | {"information": 2.0, "information_at_least": 0},
        base | {"information": math.nan, "information_at_least": 0},
    ]
    shown = table(rows, VAE, [Column("information", "information", ".1f")])
    assert [line.split("|")[2].strip() for line in shown.splitlines()[2:]] == [
        ">= 5.5 (of at most 6.0)",
        "2.0 (of at most 6.0)",
        "-",
    ]


def test_factors_are_those_of_the_test_images(data_dir):
    config = DataConfig(
        name="rendered_shapes3d/tiny", data_dir=str(data_dir), test_examples=9
    )
    images = load_images(config, ("test",)).test
    factors = load_factors(config)
    assert list(factors) == list(shapes3d_world.FACTOR_NAMES)
    labels = np.stack(list(factors.values()), axis=1)
    np.testing.assert_array_equal(shapes3d_renderer.render(labels), images)


def test_a_folder_has_no_factors(tmp_path):
    assert load_factors(DataConfig(name=str(tmp_path))) is None


@pytest.mark.slow
def test_what_was_measured_is_in_the_files(own_run):
    said = []
    names = "nll=3", "mutual_information"
    rows = evaluate(
        own_run,
        [{"beta": 1.0}, {"beta": 64.0}],
        metrics=names,
        log=said.append,
    )
    assert sum("measured" in sentence for sentence in said) == 4
    for row, read in zip(rows, own_run.read_curve(), strict=True):
        assert row["nll"] <= row["elbo_nll"]
        assert read["nll"] == pytest.approx(row["nll"])
        # On the same images, by other noise.
        bound = row["distortion"] + row["rate"]
        assert row["elbo_nll"] == pytest.approx(bound, rel=0.01)
        assert row["mutual_information_ceiling"] == pytest.approx(math.log(128))
        assert row["mutual_information"] <= row["rate"] + 0.1
    content = json.loads(own_run.evaluation_file.read_text())["metrics"]
    assert content["nll"]["size"] == 3
    assert content["nll"]["seed"] == 0
    assert content["nll_images"] == content["information_images"] == 128
    # Scored again without, they stay, where they are of the same points.
    more = [{"beta": 64.0}, {"beta": 128.0}]
    evaluate(own_run, more, log=said.append)
    assert (
        "nll: kept from before at beta=64; not at beta=1, which is not "
        "scored any more" in said
    )
    kept = own_run.read_curve()
    assert kept[0]["nll"] == pytest.approx(rows[1]["nll"])
    assert kept[0]["rate"] == pytest.approx(rows[1]["rate"])
    assert math.isnan(kept[1]["nll"])
    content = json.loads(own_run.evaluation_file.read_text())["metrics"]
    assert content["nll"]["points"] == [{"beta": 64.0}]
    assert content["nll_images"] == 128
    # What is measured anew takes the place of what was.
    evaluate(own_run, more, metrics=("nll=2",), log=said.append)
    content = json.loads(own_run.evaluation_file.read_text())["metrics"]
    assert content["nll"]["size"] == 2
    assert content["mutual_information"]["points"] == [{"beta": 64.0}]
    assert np.isfinite([row["nll"] for row in own_run.read_curve()]).all()
    evaluate(own_run, [{"beta": 2.0}], log=said.append)
    assert "nll: of other points, and not kept" in said
    assert "nll" not in own_run.read_curve()[0]
    content = json.loads(own_run.evaluation_file.read_text())
    assert "nll" not in content.get("metrics", {})


def test_scores_are_there_before_what_takes_minutes(own_run, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    grid = [{"beta": 3.0}, {"beta": 64.0}]
    evaluate(own_run, grid, metrics=("nll=2",), log=lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "measured", stopped)
        with pytest.raises(KeyboardInterrupt):
            evaluate(
                own_run,
                [*grid, {"beta": 5.0}],
                metrics=("nll=2",),
                log=lambda _: None,
            )
    rows = own_run.read_curve()
    assert [row["beta"] for row in rows] == [3.0, 64.0, 5.0]
    assert np.isfinite([row["full_loss"] for row in rows]).all()
    # What was measured before is there until it is replaced.
    assert [math.isnan(row["nll"]) for row in rows] == [False, False, True]


@pytest.mark.slow
def test_what_is_measured_again_and_cut_off_leaves_what_was_there(
    own_run, monkeypatch
):
    grid = [{"beta": 1.0}, {"beta": 64.0}]
    evaluate(own_run, grid, metrics=("nll=2",), log=str)
    before = [row["nll"] for row in own_run.read_curve()]
    ended = []

    def cut_off(text):
        ended.append(text)
        if "1 of 2 measured" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(own_run, grid, metrics=("nll=3",), log=cut_off)
    assert "nll: cut off at 1 points, and dropped" in ended
    assert [row["nll"] for row in own_run.read_curve()] == before
    content = own_run.read_evaluation()["metrics"]["nll"]
    assert content["size"] == 2
    assert content["points"] == grid
    assert "cut_off" not in content
    # Of what was not there before, the part is kept, and is said to be one.
    own_run.evaluation_file.unlink()
    with pytest.raises(KeyboardInterrupt):
        evaluate(own_run, grid, metrics=("nll=3",), log=cut_off)
    assert own_run.read_evaluation()["metrics"]["nll"]["cut_off"]
    planned = PlannedRun(
        "m", 1, 0, grid, False, own_run.read_config(), ("nll=3",)
    )
    moved = own_run.path.parent / planned.name
    shutil.copytree(own_run.path, moved)
    assert not runner.is_finished(own_run.path.parent, planned)
    evaluate(RunDirectory(moved), grid, metrics=("nll=3",), log=str)
    assert runner.is_finished(own_run.path.parent, planned)


def test_all_leaves_out_what_the_examples_are_too_few_for(own_run, monkeypatch):
    seen = np.arange(128) >= 9
    record = type(own_run.data)
    monkeypatch.setattr(record, "seen", lambda self, examples: seen)
    grid, said = [{"beta": 1.0}, {"beta": 64.0}], []
    asked = {"metrics": ("all",), "log": said.append}
    rows = evaluate(own_run, grid, **asked)
    assert any(
        s.startswith("disentanglement, ") and "left out (expected 20" in s
        for s in said
    )
    assert all(np.isfinite([r["nll"] for r in rows]))
    content = json.loads(own_run.evaluation_file.read_text())
    assert "disentanglement" in content["metrics_left_out"]
    with pytest.raises(InputError, match="expected 20 images"):
        evaluate(own_run, grid, metrics=("all", "disentanglement"))


def test_metrics_of_other_examples_are_not_kept(own_run):
    said = []
    grid = [{"beta": 1.0}, {"beta": 64.0}]
    evaluate(own_run, grid, metrics=("nll=2",), log=said.append)
    content = json.loads(own_run.evaluation_file.read_text())
    own_run.write_json(
        own_run.evaluation_file, {**content, "test_fingerprint": "others"}
    )
    evaluate(own_run, grid, log=said.append)
    assert (
        said[-1] == "nll: of other examples or of another model, and not kept"
    )
    assert "nll" not in own_run.read_curve()[0]


def test_examples_that_were_trained_on_are_left_out_with_their_factors(
    own_run, monkeypatch
):
    seen = np.arange(128) % 4 == 0
    record = type(own_run.data)
    monkeypatch.setattr(record, "seen", lambda self, examples: seen)
    given = {}

    def measurer(family, model, examples, factors, seed):
        given.update(examples=examples, **factors)
        raise InputError("enough")

    monkeypatch.setattr(type(VAE), "measurer", measurer)
    with pytest.raises(InputError, match="enough"):
        evaluate(own_run, metrics=("disentanglement",), log=lambda _: None)
    config = own_run.read_config().data
    examples = given.pop("examples")
    np.testing.assert_array_equal(
        examples, load_images(config, ("test",)).test[~seen]
    )
    for name, labels in load_factors(config).items():
        np.testing.assert_array_equal(given[name], labels[~seen])


@pytest.mark.slow
def test_all_metrics_from_the_command_line(own_run):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    path = str(own_run.path)
    ended = run(
        *("training.evaluate", path, "--metrics", "all"),
        *("--grid", "beta=1,64"),
    )
    assert ended.returncode == 0, ended.stderr
    assert "8 of 8 measured" in ended.stdout
    assert "| FactorVAE score |" in ended.stdout
    for row in own_run.read_curve():
        for column in metrics.columns_of([row], VAE):
            assert math.isfinite(row[column.name]), column
        for name in ("mig", "sap", "factor_vae_score", "dci_completeness"):
            assert 0 <= row[name] <= 1
    content = json.loads(own_run.evaluation_file.read_text())["metrics"]
    assert content["factors"] == list(shapes3d_world.FACTOR_NAMES)
    assert (content["fit_images"], content["test_images"]) == (85, 43)
    ended = run("training.plots", path)
    assert ended.returncode == 0, ended.stderr
    names = {p.stem for p in own_run.figures.iterdir()}
    assert "metrics" in names
    columns = [c.name for m in VAE.metrics.values() for c in m.columns]
    assert columns.count("active_units") == 1
    panels = plots._metric_panels({"own": own_run.read_curve()}, VAE)
    assert [line.name for _, line in panels] == columns


def test_an_unknown_metric_is_one_sentence_on_the_command_line(own_run, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(own_run.path), "--metrics", "mog"])
    assert ended.value.code == 2
    assert "expected metrics among all, nll" in capsys.readouterr().err
