"""Runs whose directories are gone, and whose rows stand for them."""

import contextlib

import pandas as pd
import pytest
from git_checkout import git

from training.study import kept
from training.study import outcome
from training.study import tables
from training.study import worker
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.data_record import fingerprint
from yoto_tf.errors import InputError
from yoto_tf.strict_config import with_settings

STUDY = """
summary = "A test."
preset = "smoke"
seeds = [0]
grid.beta = [1, 16]
protocol = "rules.md"

[methods.default]
title = "ours"

[methods.fixed]
fixed = true
"""
DEFAULT = "default/width1-seed0"
FIXED = "fixed/width1-seed0-beta1"
LAST = "fixed/width1-seed0-beta16"


@pytest.fixture
def study(tmp_path):
    """A committed study, and a folder with results of two of its runs."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "rules.md").write_text("One seed.\n")
    (folder / "mine.toml").write_text(STUDY)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Decided")
    commit = git(folder, "rev-parse", "HEAD")
    write_rows(
        tmp_path,
        commit,
        (DEFAULT, 1, 101.25, ""),
        (DEFAULT, 16, 230.5, ""),
        (FIXED, 1, 99.5, ""),
    )
    course = pd.DataFrame(
        {
            "run": [DEFAULT, DEFAULT, FIXED],
            "beta": [1, 1, 1],
            "steps": [10, 20, 20],
            "cpu_seconds": [1.5, 3.0, 2.0],
            "loss": [100.0, 90.0, 95.0],
        }
    )
    tables.write(course, tmp_path / "courses.csv")
    return folder / "mine.toml"


def write_rows(to, commit, *rows):
    table = [
        {
            "method": run.split("/")[0],
            "width": 1,
            "seed": 0,
            "beta": beta,
            "rate": 1.0,
            "distortion": 2.0,
            "full_loss": loss,
            "train_seconds": 12.0,
            "train_cpu_seconds": 20.0,
            "cpu_ms_per_step": 3.0,
            "steps": 20,
            "parameters": 1000,
            "example_values": 3072,
            "run": run,
            "processor": "A",
            "commit": "b" * 40,
            "data": "0123456789abcdef",
            "protocol": commit,
            "failure": failure,
        }
        for run, beta, loss, failure in rows
    ]
    pd.DataFrame(table).to_csv(to / "results.csv", index=False)


class Executor:
    """Ends every run at once; it failed."""

    capacity, retries, is_here = 1, 0, False

    def __init__(self):
        self.submitted, self.known = [], None

    def call(self, _, config, begun, known):
        self.known = known

    def submit(self, _, one, *__):
        self.submitted.append(one.name)
        return one.name

    def finished(self, handles, seconds):
        return handles

    def outcome(self, handle):
        return "out of memory"


def run(study, to, **more):
    spec = load_spec(str(study), **more)
    executor, said = Executor(), []
    failures = outcome.run_study(
        spec, planned_runs(spec), to / "runs", to, 1, "x", said.append,
        lambda num: contextlib.nullcontext(executor),
    )  # fmt: skip
    return failures, executor, said


def test_rows_stand_for_runs_whose_directories_are_gone(study, tmp_path):
    before = pd.read_csv(tmp_path / "results.csv")
    failures, executor, said = run(study, tmp_path)
    assert executor.submitted == [LAST]
    assert executor.known == {
        DEFAULT: "0123456789abcdef",
        FIXED: "0123456789abcdef",
    }
    assert failures == {LAST: "out of memory"}
    assert "3 runs, 2 of them finished" in said[0]
    assert "without run directories: 2 of" in said[1]
    after = pd.read_csv(tmp_path / "results.csv")
    # No value of theirs has moved, the processor's name included.
    pd.testing.assert_frame_equal(
        after[after.run != LAST][before.columns].reset_index(drop=True),
        before,
        check_dtype=False,
    )
    assert list(after[after.run == LAST].failure) == ["out of memory"]
    # Their courses are there for the table of what is reached when.
    course = tables.read(tmp_path / "courses.csv")
    assert list(course.loss) == [100.0, 90.0, 95.0]
    reached = pd.read_csv(tmp_path / "reached.csv")
    assert list(reached.steps) == [20]
    assert list(reached.of_cpu_seconds) == [2.0]


def test_a_metric_that_one_point_lacks_stays_at_the_others(study, tmp_path):
    path = tmp_path / "results.csv"
    table = pd.read_csv(path)
    # As where a rate is above what the examples can tell.
    table["mutual_information"] = [None, 1.5, None]
    table.to_csv(path, index=False)
    run(study, tmp_path)
    after = pd.read_csv(path).set_index(["run", "beta"]).mutual_information
    assert after[DEFAULT, 16] == 1.5
    assert after.drop([(DEFAULT, 16)]).isna().all()


def test_a_protocol_that_changed_since_is_refused(study, tmp_path):
    before = (tmp_path / "results.csv").read_bytes()
    (study.parent / "rules.md").write_text("Two seeds.\n")
    git(study.parent, "commit", "-qam", "Decided again")
    with pytest.raises(InputError, match="rules.md, changed since"):
        run(study, tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == before
    # Nor is it recorded as the protocol of runs to come.
    with pytest.raises(InputError, match="rules.md, changed since"):
        run(study, tmp_path)


def test_rows_of_unknown_settings_stand_for_nothing(study, tmp_path):
    replaced = load_spec(str(study), settings=["training.epochs=1"])
    study.write_text(STUDY.replace("protocol", "# protocol"))
    free = load_spec(str(study))
    for spec in (replaced, free):
        found = kept.read(spec, planned_runs(spec), tmp_path / "r", tmp_path)
        assert found == kept.Kept()


def test_rows_of_other_runs_are_not_written_over(study, tmp_path):
    path = tmp_path / "results.csv"
    before = path.read_bytes()
    for settings in ("seeds=[3]", "training.epochs=1"):
        with pytest.raises(InputError, match=r"of its own \(--to\).*protocol"):
            run(study, tmp_path, settings=[settings])
    other = tmp_path / "other.toml"
    other.write_text(STUDY.replace("protocol", "# ").replace("fixed]", "f]"))
    table = pd.read_csv(path)
    table["protocol"] = ""
    table.to_csv(path, index=False)
    free = path.read_bytes()
    with pytest.raises(InputError, match="rows of 1 runs that it does not.*fi"):
        run(other, tmp_path)
    assert path.read_bytes() == free != before
    # What can be made again leaves them.
    (tmp_path / "runs" / FIXED).mkdir(parents=True)
    (tmp_path / "runs" / FIXED / "config.json").write_text("{}")
    _, _, said = run(other, tmp_path)
    assert "rows of 1 runs that other does not have" in said[0]
    assert set(pd.read_csv(path).method) == {"default", "f"}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("courses.csv", "", "expected a courses.csv of training.study"),
        ("courses.csv", "a,b\n1,2\n", "no column beta"),
        ("between.csv", "", "expected a between.csv of training.study"),
        ("between.csv", "method,b\n1,2\n", "no column beta"),
        ("results.csv", None, "a row is cut off"),
    ],
)
def test_damaged_tables_are_a_sentence(
    study, tmp_path, name, content, sentence
):
    path = tmp_path / name
    if content is None:
        # In the middle of its last row.
        content = path.read_text()[:-70]
    path.write_text(content)
    spec = load_spec(str(study))
    with pytest.raises(InputError, match=sentence):
        outcome.write_report(
            spec, planned_runs(spec), tmp_path / "r", tmp_path, "x", str
        )
    assert path.read_text() == content


def test_which_runs_are_trained_again(study, tmp_path):
    commit = git(study.parent, "rev-parse", "HEAD")
    write_rows(
        tmp_path,
        commit,
        # One of its two points is missing.
        (DEFAULT, 1, 101.25, ""),
        (FIXED, 1, float("nan"), "diverged: NaN in epoch 1"),
        (LAST, 16, float("nan"), "its process ended"),
    )
    failures, executor, _ = run(study, tmp_path)
    assert executor.submitted == [DEFAULT, LAST]
    assert failures[FIXED] == "diverged: NaN in epoch 1"


def test_rows_by_two_protocols_are_refused(study, tmp_path):
    write_rows(tmp_path, "a" * 40, (FIXED, 1, 99.5, ""))
    one = pd.read_csv(tmp_path / "results.csv")
    other = one.assign(protocol="c" * 40, seed=1)
    pd.concat([one, other]).to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(
        InputError, match="one protocol, received: .*aaaaaaa, c"
    ):
        run(study, tmp_path)


def test_other_data_than_the_rows_are_of_is_refused(data_dir):
    spec = load_spec("smoke")
    config = with_settings(
        planned_runs(spec)[0].config, {"data.data_dir": str(data_dir)}
    )
    numbers = worker.splits_of(config).trained_digests
    assert worker.prepare(config, [], {FIXED: fingerprint(numbers)}) is None
    reason = worker.prepare(config, [], {FIXED: "0" * 16})
    assert reason.startswith(f"expected the images that {FIXED} of the results")
