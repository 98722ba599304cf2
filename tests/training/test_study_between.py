"""What a study draws between its points, against sums done by hand."""

import types

import numpy as np
import pandas as pd
import pytest

from training.study import between
from training.study import figures
from training.study import results as results_module
from training.study import tables
from training.study.plan import planned_runs
from training.study.runner import run_directory
from training.study.spec_file import load_spec
from yoto_tf.families import get_family

VAE = get_family("vae")
TEXT = """
summary = "A test."
preset = "smoke"
seeds = [0, 1]
grid.beta = [1, 16]

[overrides]
evaluation.betas = [1, 4, 16, 64]

[methods.ours]

[methods.fixed]
fixed = true
"""
FURTHER = [{"beta": 4.0}, {"beta": 64.0}]


@pytest.fixture
def study(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(TEXT)
    spec = load_spec(file)
    return spec, planned_runs(spec), tmp_path / "runs"


@pytest.fixture
def scored(study, monkeypatch):
    """What `score` asked for: pairs of a run and its grid."""
    spec, planned, folder = study
    asked = []

    def score(model, examples, grid):
        asked.append((model, grid))
        seed = int(model.name[-1])
        return [
            {"beta": p["beta"], "rate": 10 + seed, "distortion": p["beta"]}
            for p in grid
        ]

    monkeypatch.setattr(VAE, "score", score)
    monkeypatch.setattr(VAE, "load", lambda config, parts, known: None)
    monkeypatch.setattr(
        "training.test_split.unseen", lambda run, splits, log: ([], {})
    )
    monkeypatch.setattr(
        "yoto_tf.run_directory.RunDirectory.load_model",
        lambda run: types.SimpleNamespace(name=run.path.name),
    )
    monkeypatch.setattr(between, "is_finished", lambda folder, one: True)
    for one in planned:
        run = run_directory(folder, one)
        run.create(one.config)
    return asked


def test_values_that_the_study_lacks_are_scored_once(study, scored):
    said = []
    for _ in range(2):
        between.score(*study, said.append)
    assert [(m.name, grid) for m, grid in scored] == [
        ("width1-seed0", FURTHER),
        ("width1-seed1", FURTHER),
    ]
    assert said[0] == "ours/width1-seed0: scored at 2 values more, for its line"


def test_other_points_of_a_study_are_scored_anew(study, scored):
    spec, planned, folder = study
    between.score(*study, print)
    moved = folder.parent / "moved.toml"
    moved.write_text(TEXT.replace("[1, 16]", "[1, 4]"))
    spec = load_spec(moved)
    for _ in range(2):
        between.score(spec, planned_runs(spec), folder, print)
    further = [{"beta": 16.0}, {"beta": 64.0}]
    assert [grid for _, grid in scored] == [FURTHER] * 2 + [further] * 2
    table = between.collect(spec, planned_runs(spec), folder)
    assert sorted(set(table.beta)) == [16, 64]


def test_rows_of_lost_runs_stay(study, scored, monkeypatch):
    spec, planned, folder = study
    between.score(*study, print)
    table = between.collect(*study)
    assert list(table) == [
        "method", "width", "seed", "beta", "rate", "distortion",
    ]  # fmt: skip
    np.testing.assert_array_equal(table.rate, [10, 10, 11, 11])
    np.testing.assert_array_equal(table.distortion, [4, 64, 4, 64])
    # Elsewhere; one run is begun again, and its old rows are not its own.
    other = folder.parent / "elsewhere"
    again = next(r for r in planned if r.name == "ours/width1-seed1")
    run_directory(other, again).create(again.config)
    monkeypatch.setattr(between, "is_finished", lambda folder, one: False)
    kept = between.collect(spec, planned, other, table)
    pd.testing.assert_frame_equal(kept, table[table.seed == 0])


def test_a_table_that_becomes_empty_leaves_no_old_one(study, tmp_path):
    path = tmp_path / "between.csv"
    tables.write(pd.DataFrame({"seed": [0]}), path)
    tables.write(between.collect(*study), path)
    assert tables.read(path) is None


def _results(spec, planned):
    rows = []
    for one in planned:
        for point in one.points:
            beta = point["beta"]
            rows.append(
                {
                    "method": one.method,
                    "width": 1,
                    "seed": one.seed,
                    "beta": beta,
                    # Means over seeds: 32.5 and 2.5; the fixed ones' above.
                    "rate": 32 / beta + one.seed + one.fixed,
                    "distortion": 100 + beta + one.fixed,
                    "failure": "",
                }
            )
    return results_module._typed(pd.DataFrame(rows), VAE)


def _lines(figure):
    return {line.get_label(): line for line in figure.axes[0].lines}


def test_a_line_goes_through_what_is_between(study):
    spec, planned, _ = study
    results = _results(spec, planned)
    further = pd.DataFrame(
        [
            {"method": "ours", "width": 1, "seed": seed, "beta": beta}
            | {"rate": rate + seed, "distortion": distortion}
            for seed in (0, 1)
            # The second is not on the front.
            for beta, rate, distortion in ((4, 8, 104), (64, 40, 164))
        ]
    )
    line = _lines(figures.curves_figure(results, spec, further))["ours"]
    np.testing.assert_allclose(
        line.get_xydata(), [[2.5, 116], [8.5, 104], [32.5, 101]]
    )
    # Markers are the study's points alone.
    assert line.get_markevery() == [0, 2]
    # Means over fewer seeds are on no line with means over all.
    one = further[further.seed == 0]
    line = _lines(figures.curves_figure(results, spec, one))["ours"]
    np.testing.assert_allclose(line.get_xydata(), [[2.5, 116], [32.5, 101]])


def test_validation_and_fixed_models_have_no_line(study, scored, tmp_path):
    spec, planned, folder = study
    file = tmp_path / "other.toml"
    file.write_text(f'scored = "validation"\n{TEXT}')
    chosen = load_spec(file)
    between.score(chosen, planned_runs(chosen), folder, print)
    assert scored == []
    assert not between._further_points(planned[1])
