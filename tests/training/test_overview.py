"""What several studies say, against sums done by hand."""

import re
from pathlib import Path

import pandas as pd
import pytest

from training import overview
from training.study import outcome
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.errors import InputError

ROOT = Path(__file__).parents[2]
# By seed, then beta: ours, and the four forms.
LOSSES = {
    0: {
        1: [100, 101, 103, 104, 105],
        16: [210, 209, 205, 220, 221],
        64: [300, 300, 301, 302, 303],
        256: [400, 404, 402, 410, 411],
    },
    1: {
        1: [103, 101, 103, 104, 105],
        16: [206, 209, 205, 220, 221],
        64: [300, 300, 301, 302, 303],
        256: [400, 404, 402, 410, 411],
    },
}


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, "short_mnist", LOSSES)


def write(tmp_path, study, losses):
    """Writes results with losses by seed and beta, in the order of methods."""
    spec = load_spec(study)
    methods = list(spec.methods)
    rows = []
    for one in planned_runs(spec):
        if one.seed not in losses:
            continue
        for point in one.points:
            beta = int(point["beta"])
            loss = losses[one.seed][beta][methods.index(one.method)]
            rows.append(
                {
                    "method": one.method,
                    "width": 1,
                    "seed": one.seed,
                    "beta": beta,
                    "full_loss": loss,
                    "rate": 1.0,
                    "distortion": 1.0,
                    "train_seconds": 1.0,
                    "train_cpu_seconds": 6.6 if not one.fixed else 6.0,
                    "cpu_ms_per_step": 1.0,
                    "steps": 1000,
                    "parameters": 10,
                    "example_values": 784,
                    "run": one.name,
                    "failure": "",
                }
            )
    folder = tmp_path / study
    folder.mkdir()
    pd.DataFrame(rows).to_csv(folder / "results.csv", index=False)
    return folder


def test_losses_are_those_above_the_best_form(folder, capsys):
    overview.main([str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == (
        # -1, 2; 5, 1; 0, 0; -2, -2: of one seed 2 in all, of the other 1. Of
        # 784 values 3 nats are 0.0055 bits each.
        "| `short_mnist` | 1,000 | +0.5 ± 2.1 | +3.0 ± 2.8 | +0.0 ± 0.0 "
        "| -2.0 ± 0.0 | +0.4 ± 0.2 | +3.0 | +0.0055 | 1.10 ± 0.00 | 2 |"
    )
    # Best at 1 and 64, and at 16 and 256; 0, 4, 0, 2 and 2, 0, 1, 0 above.
    assert lines[-1].startswith("| `short_mnist` | 4 (+1.5) | 4 (+0.8) | 0 (")
    assert lines[-1].endswith("| 8 |")


def test_further_forms_of_fixed_weights_join_those_of_their_base(
    tmp_path, capsys
):
    # Ours and the fixed weight; the three others are in no table of losses.
    base = {
        seed: {
            1: [100 + seed, 101, 0, 0, 0],
            16: [205, 200, 0, 0, 0],
            64: [300, 300, 0, 0, 0],
            256: [400, 398, 0, 0, 0],
        }
        for seed in (0, 1)
    }
    # Of one seed alone, and better at 1.
    further = {0: {1: [97], 16: [201], 64: [302], 256: [398.5]}}
    folders = [
        str(write(tmp_path, "report_cifar10", base)),
        str(write(tmp_path, "report_cifar10_softplus", further)),
    ]
    overview.main(folders)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith(
        "| `report_cifar10` | 1,000 | -0.5 ± 0.7 | +5.0 ± 0.0 | +0.0 ± 0.0 "
    )
    assert lines[3].startswith(
        "| `report_cifar10`, `report_cifar10_softplus` | 1,000 | +3.0 | +5.0 "
        "| +0.0 | +2.0 | +2.5 | +5.0 |"
    )
    # Its time is of the base's own form.
    assert lines[3].endswith("| 1.10 | 1 |")
    # One of two forms is better at 1 alone; 4, 0, 0, 0 and 0, 1, 2, 0.5 above.
    assert lines[-1] == (
        "| `report_cifar10`, `report_cifar10_softplus` | 3 (+1.0) "
        "| 1 (+0.9) | 4 |"
    )
    overview.main([*folders, "--tables", "changes"])
    assert "softplus`" not in capsys.readouterr().out
    # Without the base nothing is compared in it.
    said = _refused(folders[1], capsys)
    assert said.startswith(
        "error: expected report_cifar10_softplus, which trains fixed weights "
        "alone, beside report_cifar10, received:"
    )


def test_seeds_that_are_not_whole_are_left_out(folder, capsys):
    path = folder / "results.csv"
    rows = pd.read_csv(path)
    last = rows[(rows.seed == 1) & (rows.method == "fixed_softplus")].index[0]
    rows.drop(last).to_csv(path, index=False)
    overview.main([str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith(
        "| `short_mnist` | 1,000 | -1.0 | +5.0 | +0.0 | -2.0 |"
    )
    assert lines[2].endswith("| 1 |")


def test_a_seed_of_which_a_run_failed_is_not_counted(folder, capsys):
    path = folder / "results.csv"
    rows = pd.read_csv(path)
    failed = (rows.seed == 0) & (rows.method == rows.method.iloc[0])
    rows.loc[failed, "full_loss":"example_values"] = float("nan")
    rows["failure"] = ["diverged" if f else "" for f in failed]
    rows.to_csv(path, index=False)
    overview.main([str(folder)])
    line = capsys.readouterr().out.splitlines()[2]
    # The other seed's alone.
    assert line.startswith(
        "| `short_mnist` | 1,000 | +2.0 | +1.0 | +0.0 | -2.0 | +0.2"
    )
    assert line.endswith("| 1 |")


def test_what_cannot_be_told_is_a_sentence(folder, tmp_path, capsys):
    other = tmp_path / "no_study"
    folder.rename(other)
    assert _refused(other, capsys).startswith("error: expected a TOML file or")
    other.rename(folder)
    rows = pd.read_csv(folder / "results.csv")
    rows[rows.beta == 1].to_csv(folder / "results.csv", index=False)
    assert "one seed or more has all its runs" in _refused(folder, capsys)
    # Beside others it is left out.
    other = tmp_path / "more" / "short_mnist"
    other.mkdir(parents=True)
    rows.to_csv(other / "results.csv", index=False)
    overview.main([str(folder), str(other)])
    said = capsys.readouterr()
    assert said.err == "left out, no seed has all its runs: short_mnist\n"
    assert said.out.count("`short_mnist`") == 2


def _refused(folder, capsys, *more):
    with pytest.raises(SystemExit) as ended:
        overview.main([str(folder), *more])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_table_can_be_asked_for_alone(folder, capsys):
    overview.main([str(folder), "--tables", "forms"])
    assert capsys.readouterr().out.startswith("| best form |")
    overview.main([str(folder), "--tables", "losses"])
    assert "best form" not in capsys.readouterr().out


def test_changes_are_told_by_what_they_cost(tmp_path, capsys):
    ours = {1: 100, 16: 200, 64: 300, 256: 400}
    # Of the second method; others are as ours. Means 2 and 4.
    changed = {
        0: {1: 10, 16: -2, 64: 0, 256: 0},
        1: {1: 12, 16: 0, 64: 4, 256: 0},
    }
    losses = {
        seed: {b: [ours[b], ours[b] + more[b], *[ours[b]] * 6] for b in ours}
        for seed, more in changed.items()
    }
    overview.main(
        [
            str(write(tmp_path, "ablation_cifar10", losses)),
            "--tables",
            "changes",
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| change | `ablation_cifar10` |"
    assert lines[2] == "| even draws | +3.0 ± 1.4 (-1.0 at 16 to +11.0 at 1) |"
    # Six changes; the fixed weight is none.
    assert len(lines) == 2 + 6
    assert lines[-1].startswith("| 9 knots for 5 | +0.0 ± 0.0 (+0.0 at")


def test_a_study_of_one_model_has_no_changes(folder, capsys):
    said = _refused(folder, capsys, "--tables", "changes")
    assert said.startswith("error: expected a study with another model")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/results.md", "docs/lab/sets.md"])
def test_tables_are_those_of_the_command_above_them(page, capsys):
    text = (ROOT / page).read_text()
    commands = re.findall(
        r"```sh\npython -m training.overview (.*)\n```\n\n", text
    )
    assert commands
    for command in commands:
        folders = []
        words = command.split(" ")
        while words and not words[0].startswith("--"):
            folders += sorted(ROOT.glob(words.pop(0)))
        overview.main([*map(str, folders), *words])
        tables = capsys.readouterr().out
        assert f"{command}\n```\n\n{tables}" in text, (
            f"{command} prints other tables than {page} has"
        )


def test_studies_whose_fixed_weights_failed_are_in_the_tables(
    folder, capsys, monkeypatch
):
    path = folder / "results.csv"
    rows = pd.read_csv(path)
    told = rows.method == rows.method.iloc[0]

    def fail(failed):
        lost = rows.copy()
        lost.loc[failed, "full_loss":"example_values"] = float("nan")
        lost["failure"] = ["diverged" if f else "" for f in failed]
        lost.to_csv(path, index=False)
        # The folder that one is in has a name, too.
        monkeypatch.chdir(folder)
        overview.main(["."])
        return capsys.readouterr().out.splitlines()

    lines = fail(~told & (rows.beta == 1))
    assert lines[2].startswith("| `short_mnist` | — | — | ")
    assert lines[2].endswith("| 0 |")
    # Six of eight seeds and points have a best one.
    assert lines[-1].endswith("| 6 |")
    assert "nan" not in "".join(fail(rows.beta > 0))


def report_of(folder, log=str, settings=()):
    spec = load_spec("short_mnist", settings=settings)
    outcome.write_report(
        spec, planned_runs(spec), folder, folder, "a command", log
    )
    return (folder / "report.md").read_text()


@pytest.fixture
def whole(folder):
    """Seeds 0 and 1 of three, with what the report needs besides."""
    path = folder / "results.csv"
    rows = pd.read_csv(path)
    for name in ("processor", "commit", "data", "protocol"):
        rows[name] = "x"
    rows["reference_rate"] = rows["reference_distortion"] = 10.0
    rows.to_csv(path, index=False)
    return folder


@pytest.mark.slow
def test_a_report_leaves_out_seeds_that_are_not_whole(whole):
    path = whole / "results.csv"
    before = report_of(whole)
    # Seed 2 has none of its 17 runs.
    assert "17 of 51 runs have no results yet. Seeds without all of" in before
    rows = pd.read_csv(path)
    # The better baseline at 1, without which the other would be it.
    best = (rows.seed == 1) & (rows.method == "fixed_softplus")
    rows[~(best & (rows.beta == 1))].to_csv(path, index=False)
    after = report_of(whole)
    assert "18 of 51 runs have no results yet." in after
    assert "are in no table: 1, 2." in after
    assert "| ours | -1.0 | +5.0 | +0.0 | -2.0 |" in after
    # Without one whole seed what is there is shown, and what it may mean.
    rows[~(best & (rows.beta == 1)) & (rows.seed == 1)].to_csv(
        path, index=False
    )
    assert "No seed has all of its own" in report_of(whole)


def test_losses_say_over_how_many_seeds_they_are(whole):
    path = whole / "results.csv"
    rows = pd.read_csv(path)
    failed = (rows.method == "fixed") & (rows.seed == 1) & (rows.beta == 1)
    rows.loc[failed, "full_loss":"example_values"] = float("nan")
    rows["failure"] = ["diverged" if f else "" for f in failed]
    rows.to_csv(path, index=False)
    fixed = LOSSES[0][1][1]
    assert f"| {fixed:.1f} (1.00), 1 of 2 seeds |" in report_of(whole)


def test_a_baseline_alone_is_compared_with_nothing(tmp_path):
    losses = {0: {1: [97], 16: [201], 64: [302], 256: [398.5]}}
    folder = write(tmp_path, "report_cifar10_softplus", losses)
    path = folder / "results.csv"
    rows = pd.read_csv(path)
    for name in ("processor", "commit", "data", "protocol"):
        rows[name] = "x"
    rows["reference_rate"] = rows["reference_distortion"] = 10.0
    rows.to_csv(path, index=False)
    spec = load_spec("report_cifar10_softplus")
    outcome.write_report(
        spec, planned_runs(spec), tmp_path, folder, "a command", str
    )
    text = (folder / "report.md").read_text()
    assert "| 97.0 (1.00) | 201.0 (1.00) |" in text
    assert "baseline" not in text
    assert not (folder / "full_loss_difference.png").exists()


def test_a_report_at_other_points_is_refused(whole):
    message = "expected results at beta=2, beta=3, received:.*beta=1, beta=16"
    with pytest.raises(InputError, match=message):
        report_of(whole, settings=["grid.beta=[2, 3]"])


def test_when_another_has_what_is_of_the_methods_own_length(whole):
    runs = ["default/width1-seed0"] * 2 + ["fixed/width1-seed0-beta1"]
    rows = {
        "run": [*runs, "gone/width1-seed0"],
        "beta": 1,
        # The other was trained for longer.
        "steps": [400, 1000, 9000, 1],
        "cpu_seconds": [1.0, 2.0, 4.0, 1.0],
        "loss": [5.0, 4.0, 5.0, 1.0],
    }
    table = pd.DataFrame(rows)
    table.to_csv(whole / "courses.csv", index=False)
    # It is of the courses, whatever was said of earlier ones.
    (whole / "reached.csv").write_text("of earlier runs\n")
    text = report_of(whole)
    assert "Steps of *ours*, of 1,000, at the end" in text
    assert "| fixed weight, KL warm-up | 400 (0.25) |" in text
    assert pd.read_csv(whole / "reached.csv").of_steps.tolist() == [9000]
    table[-1:].to_csv(whole / "courses.csv", index=False)
    assert "has what others end with" not in report_of(whole)
