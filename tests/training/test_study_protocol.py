"""A study's protocol: committed first, and left as it is."""

import csv
from pathlib import Path

import numpy as np
import pytest
from git_checkout import git

from training.study import protocol
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

ROOT = Path(__file__).parents[2]
STUDY = """
summary = "A test."
preset = "smoke"
seeds = [0]
grid.beta = [1]
protocol = "rules.md"

[methods.default]
"""


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "rules.md").write_text("Three seeds.\n")
    (folder / "mine.toml").write_text(STUDY)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Decided")
    return folder / "mine.toml"


def commit_of(spec, folder):
    return protocol.commit_of(spec, planned_runs(spec), folder)


def test_results_name_the_commit_of_the_protocol(study, tmp_path):
    decided = git(study.parent, "rev-parse", "HEAD")
    (study.parent / "other").write_text("")
    git(study.parent, "add", ".")
    git(study.parent, "commit", "-qm", "Something else")
    spec = load_spec(str(study))
    for _ in range(2):
        assert commit_of(spec, tmp_path / "runs") == decided


@pytest.mark.parametrize("name", ["rules.md", "mine.toml"])
def test_what_changed_since_the_first_run_is_refused(study, tmp_path, name):
    spec = load_spec(str(study))
    decided = commit_of(spec, tmp_path / "runs")
    path = study.parent / name
    path.write_text(path.read_text() + "\n")
    for runs in ("runs", "none yet"):
        with pytest.raises(InputError, match=f"committed.*{name} with changes"):
            commit_of(spec, tmp_path / runs)
    git(study.parent, "commit", "-qam", "Decided again")
    again = git(study.parent, "rev-parse", "HEAD")
    message = f"commit {decided[:7]}.*{name}, changed since"
    with pytest.raises(InputError, match=message):
        commit_of(spec, tmp_path / "runs")
    # Runs of their own, begun after the change.
    assert commit_of(spec, tmp_path / "others") == again


def test_runs_that_were_begun_without_the_protocol_are_refused(study, tmp_path):
    looked = load_spec(str(study), settings=["summary='A look'"])
    (one,) = planned_runs(looked)
    runs = tmp_path / "runs"
    RunDirectory(runs / one.name).create(one.config)
    assert commit_of(looked, runs) == ""
    with pytest.raises(InputError, match="begun without the protocol.*default"):
        commit_of(load_spec(str(study)), runs)
    assert commit_of(load_spec(str(study)), tmp_path / "others")


def test_replaced_settings_are_not_by_the_protocol(study, tmp_path):
    spec = load_spec(str(study), settings=["training.epochs=1"])
    assert commit_of(spec, tmp_path / "runs") == ""
    assert not (tmp_path / "runs").exists()
    study.write_text(STUDY.replace("protocol", "# protocol"))
    assert commit_of(load_spec(str(study)), tmp_path / "runs") == ""


def test_a_protocol_that_is_not_there_or_in_no_checkout_is_refused(
    study, tmp_path
):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "mine.toml").write_text(STUDY)
    with pytest.raises(InputError, match="path of a file.*protocol='rules.md'"):
        load_spec(str(alone / "mine.toml"))
    (alone / "rules.md").write_text("Three seeds.\n")
    spec = load_spec(str(alone / "mine.toml"))
    with pytest.raises(
        InputError, match="in a git checkout, received: .*rules"
    ):
        commit_of(spec, tmp_path / "runs")
    study.write_text("files = 'x'" + STUDY)
    with pytest.raises(InputError, match="no key 'files'"):
        load_spec(str(study))


def test_a_base_is_a_part_of_what_was_decided(study, tmp_path):
    lines = 'base = "mine.toml"\nseeds = [1, 2]\n[methods.more]\nfixed = true\n'
    own = study.parent / "own.toml"
    own.write_text(lines)
    git(study.parent, "add", ".")
    git(study.parent, "commit", "-qm", "Another set")
    spec = load_spec(str(own))
    assert (spec.name, spec.seeds) == ("own", (1, 2))
    assert spec.grid == {"beta": (1,)}
    assert list(spec.methods) == ["default", "more"]
    assert commit_of(spec, tmp_path / "runs")
    study.write_text(STUDY.replace("A test", "B test"))
    git(study.parent, "commit", "-qam", "Moved")
    with pytest.raises(InputError, match="mine.toml, changed since"):
        commit_of(load_spec(str(own)), tmp_path / "runs")


@pytest.mark.parametrize("base", ["own.toml", "none.toml", "rules.md"])
def test_a_base_that_is_none_is_refused(study, base):
    own = study.parent / "own.toml"
    own.write_text(f'base = "{base}"\n')
    with pytest.raises(InputError, match="base as the name of another TOML"):
        load_spec(str(own))


@pytest.mark.slow
def test_the_rates_of_the_protocol_are_those_of_the_search():
    lab = ROOT / "docs" / "lab" / "search"
    losses = {}
    for file in sorted(lab.glob("*.csv")):
        for row in csv.DictReader(file.read_text().splitlines()):
            method, rate = row["method"].rsplit("_", 1)
            point = losses.setdefault((method, file.stem, row["beta"]), {})
            point[rate] = float(row["full_loss"]) / int(row["example_values"])
    scores = {}
    for (method, *_), point in losses.items():
        for rate, loss in point.items():
            behind = loss - min(point.values())
            scores.setdefault((method, rate), []).append(behind)
    text = " ".join((ROOT / "docs" / "protocol.md").read_text().split())
    for method, name in {
        "default": "ours",
        "fixed": "fixed",
        "softplus": "fixed with the authors' posterior",
    }.items():
        low, middle, high = (
            np.mean(scores[method, rate]) for rate in ("low", "middle", "high")
        )
        assert middle < min(low, high)
        assert f"{name} {low:.4f}, {middle:.4f}, {high:.4f}" in text
    assert "**5e-3 for all three**" in text
    for file in (ROOT / "training" / "studies").glob("short_*.toml"):
        for planned in planned_runs(load_spec(file)):
            assert planned.config.optimizer.learning_rate == 5e-3


def test_a_method_of_the_base_is_left_out(study):
    own = study.parent / "own.toml"
    start = 'base = "mine.toml"\n[methods]\nmore.fixed = true\n'
    own.write_text(start + 'default = "unset"\n')
    assert list(load_spec(str(own)).methods) == ["more"]
    own.write_text(start + 'defualt = "unset"\n')
    message = r"of the base.*\['default'\], received: methods.defualt=\"unset\""
    with pytest.raises(InputError, match=message):
        load_spec(str(own))
