"""When one training has what others end with, against sums done by hand."""

import json
import math

import pandas as pd
import pytest

from training.study import courses
from training.study import reached
from training.study import tables
from training.study.plan import planned_runs
from training.study.report import reached_table
from training.study.runner import run_directory
from training.study.spec_file import load_spec
from yoto_tf import Dirichlet
from yoto_tf import LogUniform
from yoto_tf.method.joint import as_joint

TEXT = """
summary = "A test."
preset = "smoke"
seeds = [0, 1]
grid.beta = [1, 16]

[methods.ours]
title = "ours"

[methods.fixed]
title = "fixed weight"
fixed = true

[methods.paper]
title = "the paper's"
model.conditioning.kind = "film"
"""
# (distortion, rate) after each of four epochs, by seed.
OURS = {
    1: {0: [(90, 9), (80, 8), (70, 7), (60, 6)], 1: [(100, 1)] * 4},
    # Of seed 1, an epoch that is as good and three that are not.
    16: {0: [(60, 4), (50, 3), (40, 2), (30, 1)],
         1: [(60, 4), (20, 1), (60, 4), (60, 4)]},
}  # fmt: skip
LAST = {
    # By OURS: full losses 99, 88, 77, 66 and 101; 124, 98, 72, 46 and
    # 124, 36, 124, 124.
    ("fixed", 1): {0: (80, 8), 1: (100, 1)},
    ("fixed", 16): {0: (20, 1), 1: (20, 1)},
    ("paper", 1): {0: (60, 5.9), 1: (1, 1)},
    ("paper", 16): {0: (90, 9), 1: (1, 1)},
}


def log(path, epochs, seconds):
    rows = [{"epoch": i, "cpu_seconds": seconds, **row}
            for i, row in enumerate(epochs)]  # fmt: skip
    path.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(path / "log.csv", index=False)
    (path / "evaluation.json").write_text(json.dumps({"steps": 400}))


def columns(pair, label):
    return {
        f"val_distortion_at_{label}": pair[0],
        f"val_rate_at_{label}": pair[1],
        f"val_loss_at_{label}": 1.0,
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    file = folder / "study.toml"
    file.write_text(TEXT)
    spec = load_spec(file)
    planned = planned_runs(spec)
    for one in planned:
        path = run_directory(folder / "runs", one).path
        if one.method == "ours":
            epochs = [
                columns(OURS[1][one.seed][i], "beta=1")
                | columns(OURS[16][one.seed][i], "beta=16")
                # Watched, and no value of the study.
                | columns((0, 0), "beta=512")
                for i in range(4)
            ]
            log(path, epochs, 3.0)
        elif one.fixed:
            last = LAST["fixed", one.points[0]["beta"]][one.seed]
            ends = [columns((0, 0), "fixed")] * 3 + [columns(last, "fixed")]
            log(path, ends, 2.0)
        else:
            last = columns(LAST["paper", 1][one.seed], "beta=1")
            # What it had before does not count.
            log(path, [last | columns((0, 0), "beta=1"), last], 12.0)
    found = courses.collect(spec, planned, folder / "runs")
    tables.write(found, folder / "courses.csv")
    found = tables.read(folder / "courses.csv")
    path = folder / "reached.csv"
    tables.write(reached.collect(spec, planned, found), path)
    return tables.read(path), spec


def test_the_first_epoch_that_is_as_good_from_then_on_counts(table):
    found = table[0]
    found = found[found.method == "ours"].set_index(["of", "seed", "beta"])
    assert sorted(found.index) == sorted(
        [("fixed", s, b) for s in (0, 1) for b in (1, 16)]
        # The other was watched at one value alone.
        + [("paper", s, 1) for s in (0, 1)]
    )
    expected = {
        ("fixed", 0, 1): (200, 6.0),
        ("fixed", 1, 1): (100, 3.0),
        ("fixed", 0, 16): (math.nan, math.nan),
        ("fixed", 1, 16): (math.nan, math.nan),
        ("paper", 0, 1): (math.nan, math.nan),
        ("paper", 1, 1): (math.nan, math.nan),
    }
    for key, (steps, seconds) in expected.items():
        row = found.loc[key]
        assert row.steps == pytest.approx(steps, nan_ok=True), key
        assert row.cpu_seconds == pytest.approx(seconds, nan_ok=True), key
        assert row.of_steps == 400
        assert row.of_cpu_seconds == (8 if key[0] == "fixed" else 24)


def test_every_model_that_is_told_is_compared_with_every_other(table):
    found = table[0]
    assert set(zip(found.method, found["of"], strict=True)) == {
        ("ours", "fixed"),
        ("ours", "paper"),
        ("paper", "fixed"),
        ("paper", "ours"),
    }


def test_the_report_says_steps_and_shares_of_time(table):
    found, spec = table
    # The other method's runs may be longer.
    results = pd.DataFrame({"method": ["ours", "fixed"], "steps": [400, 900]})
    lines = reached_table(found, results, spec).splitlines()
    assert "Steps of *ours*, of 400," in lines[0]
    assert lines[2:] == [
        "| what it has | beta 1 | beta 16 |",
        "| --- | ---: | ---: |",
        # 6 / 8 and 3 / 8.
        "| fixed weight | 150 (0.56) | never |",
        "| the paper's | never | — |",
    ]


def test_values_are_written_as_they_are(tmp_path):
    row = dict.fromkeys(("steps", "of_steps"), 1) | {"lmbda": 0.0018}
    table = pd.DataFrame([row | {"cpu_seconds": 1.23456, "of_cpu_seconds": 2}])
    tables.write(table, tmp_path / "reached.csv")
    found = tables.read(tmp_path / "reached.csv").iloc[0]
    assert (found.lmbda, found.cpu_seconds) == (0.0018, 1.235)


def test_without_watched_losses_there_is_no_file(tmp_path):
    spec = load_spec("smoke")
    planned = planned_runs(spec)
    course = courses.collect(spec, planned, tmp_path)
    tables.write(course, tmp_path / "courses.csv")
    assert tables.read(tmp_path / "courses.csv") is None
    found = reached.collect(spec, planned, course)
    tables.write(found, tmp_path / "reached.csv")
    assert tables.read(tmp_path / "reached.csv") is None


@pytest.mark.parametrize(
    ("joint", "point", "other"),
    [
        (
            {"beta": LogUniform(0.5, 8.0), "tc": LogUniform(0.5, 8.0)},
            {"beta": 2.0, "tc": 1 / 3},
            {"beta": 2.0, "tc": 0.3},
        ),
        # Held constant: a point has it, a label of what varies has not.
        (
            {"beta": LogUniform(0.5, 8.0), "tc": 1.0},
            {"beta": 2.0, "tc": 1.0},
            {"beta": 4.0, "tc": 1.0},
        ),
        (
            Dirichlet({"a": 1.0, "b": 2.0}),
            {"a": 1 / 3, "b": 2 / 3},
            {"a": 0.3, "b": 0.7},
        ),
    ],
)
def test_a_model_s_labels_are_found_among_points(joint, point, other):
    label = as_joint(joint).label(point)
    assert courses.is_label_of(label, point, fixed=False)
    assert not courses.is_label_of(label, other, fixed=False)


def test_the_label_of_a_fixed_model_is_that_of_its_point():
    label = as_joint({"beta": 2.0}).label({"beta": 2.0})
    assert courses.is_label_of(label, {"beta": 2.0}, fixed=True)
    assert not courses.is_label_of(label, {"beta": 2.0}, fixed=False)
