"""A family of a user's own goes through the scripts."""

import dataclasses
import json
import os
import queue

import numpy as np
import own_family
import pytest

from training import evaluate as evaluate_module
from training import plots
from training import train as train_module
from training.study import outcome
from training.study import results as results_module
from training.study import worker
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.errors import InputError
from yoto_tf.families import Family
from yoto_tf.families import all_presets
from yoto_tf.families import get_family
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory

OWN = "own_family:FAMILY"


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """The family's preset, trained and scored by the commands."""
    path = tmp_path_factory.mktemp("runs") / "tc"
    train_module.main(
        [
            *("--family", OWN, "tiny_tc", "--run-dir", str(path)),
            *("--data.data-dir", str(data_dir), "--training.epochs", "1"),
        ]
    )
    evaluate_module.main([str(path), "--grid", "tc=0.5,8", "beta=1,64"])
    return RunDirectory(path)


def test_the_run_says_whose_it_is_and_loads_again(run):
    content = json.loads(run.config_file.read_text())["config"]
    assert content["family"] == OWN
    assert content["further"][0]["name"] == "tc"
    assert run.family() is own_family.FAMILY
    model = run.load_model()
    assert type(model).__name__ == "TCVAE"
    assert model.loss_parameters.names == ("beta", "tc")


def test_every_combination_is_scored_under_its_own_weights(run):
    rows = run.read_curve()
    assert [(r["beta"], r["tc"]) for r in rows] == [
        (1.0, 0.5),
        (1.0, 8.0),
        (64.0, 0.5),
        (64.0, 8.0),
    ]
    for row in rows:
        full = row["distortion"] + row["beta"] * row["rate"]
        full += row["tc"] * row["tc_term"]
        assert row["full_loss"] == pytest.approx(full, rel=1e-6)
    assert len({r["rate"] for r in rows}) == 4


@pytest.mark.slow
def test_both_values_are_told_in_the_pictures(run, tmp_path):
    written = plots.plot([run], to=tmp_path, log=lambda sentence: None)
    assert [p.stem for p in written] == [
        "trade_off",
        "reconstructions",
        "prior_samples",
        "latent_traversal",
        "latent_traversal_by_value",
        "interpolation",
    ]
    assert all(p.stat().st_size > 10_000 for p in written)


@pytest.mark.slow
def test_a_study_compares_it_with_a_model_for_every_point(
    data_dir, tmp_path, monkeypatch
):
    path = tmp_path / "tc.toml"
    path.write_text(
        f"""
summary = "A test."
family = "{OWN}"
preset = "tiny_tc"
seeds = [0]
grid = {{beta = [1, 64], tc = [2]}}

[overrides]
training.epochs = 1
data.data_dir = "{data_dir}"

[methods.fixed]
fixed = true

[methods.ours]
"""
    )
    spec = load_spec(path)
    planned = planned_runs(spec)
    assert [one.name for one in planned] == [
        "fixed/width1-seed0-beta1-tc2",
        "fixed/width1-seed0-beta64-tc2",
        "ours/width1-seed0",
    ]
    monkeypatch.setattr(worker, "_messages", queue.SimpleQueue())
    monkeypatch.setattr(worker, "_parent", os.getppid())
    for one in planned:
        folder = tmp_path / "runs" / one.name
        assert worker.train_and_score(one, folder, "tiny_tc") is None
    # A separate model has one value of each, and is told of none.
    model = RunDirectory(tmp_path / "runs" / planned[1].name).load_model()
    assert model.loss_parameters.varying == ()
    assert model.loss_parameters.defaults == {"beta": 64.0, "tc": 2.0}
    table = results_module.collect(spec, planned, tmp_path / "runs", {})
    assert list(table.point) == ["beta=1, tc=2", "beta=64, tc=2"] * 2
    results_module.write(table, tmp_path / "results.csv", spec.model_family)
    outcome.write_report(spec, planned, tmp_path / "runs", tmp_path, "x", str)
    text = (tmp_path / "report.md").read_text()
    assert "| beta 1, tc 2 | beta 64, tc 2 |" in text
    apart = np.subtract(*table.full_loss.to_numpy().reshape(2, 2)[::-1])
    assert f"| ours | {apart[0]:+.1f} | {apart[1]:+.1f} |" in text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vea", "a family among ['compression', 'tabular', 'vae']"),
        ("no_such_module:X", "that can be imported"),
        ("own_family:NOTHING", "that can be imported"),
        ("own_family:dataclasses", "an instance of yoto_tf.families.Family"),
    ],
)
def test_what_is_no_family_is_refused(name, sentence, capsys):
    with pytest.raises(InputError) as refused:
        get_family(name)
    assert sentence in str(refused.value)
    with pytest.raises(SystemExit) as ended:
        train_module.main(["--family", name, "smoke"])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("family", "first"), [(OWN, "tiny_tc"), ("tabular", "credit_cost")]
)
def test_the_help_of_a_family_names_its_own_first_preset(family, first, capsys):
    with pytest.raises(SystemExit) as stopped:
        train_module.main(["--family", family, "--help"])
    assert stopped.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"(without one: {first};" in words


def test_presets_say_of_which_family_they_are():
    for name, preset in all_presets().items():
        family = get_family(preset.config.family)
        assert name in family.presets
        assert isinstance(preset.config, family.settings)
        assert family.read(preset.config.to_dict()) == preset.config
    assert get_preset("tiny_tc", OWN).config.family == OWN
    with pytest.raises(InputError, match="expected a preset among"):
        get_preset("tiny_tc")


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        (["beta"], "as beta=1,2,4"),
        (["beta=a"], "as beta=1,2,4"),
        (["gamma=1"], "among beta, tc, received"),
        (["beta=1,2,1"], "each of its values, once"),
        (["beta=1", "beta=2"], "each loss parameter,"),
        (["beta=1"], "none for tc"),
    ],
)
def test_grids_that_cannot_be_are_refused(grid, sentence, run, capsys):
    with pytest.raises(SystemExit) as ended:
        evaluate_module.main([str(run.path), "--grid", *grid])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_run_of_another_family_is_not_resumed(run):
    config = dataclasses.replace(run.read_config(), family="vae")
    with pytest.raises(InputError, match="expected family='own_family"):
        train_module.train(config, run.path, resume=True)


def test_the_base_says_what_a_family_must_define():
    family = Family()
    for call in (
        lambda: family.load(None),
        lambda: family.model(None, None),
        lambda: family.grid(None),
    ):
        with pytest.raises(NotImplementedError):
            call()
