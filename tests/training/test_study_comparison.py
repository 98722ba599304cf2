"""Tables of a study against computations written apart from them."""

import dataclasses
import json
import shutil

import moocore
import numpy as np
import pandas as pd
import pytest

from training.metrics import columns_of
from training.study import comparison
from training.study import figures
from training.study import results as results_module
from training.study import runner
from training.study.figures import curves_figure
from training.study.figures import difference_figure
from training.study.plan import PlannedRun
from training.study.report import difference_table
from training.study.report import loss_table
from training.study.report import method_table
from training.study.report import report
from training.study.spec import MethodSpec
from training.study.spec import StudySpec
from training.study.tables import read as read_table
from training.study.tables import write as write_table
from yoto_tf.errors import InputError
from yoto_tf.families import get_family

BETAS = (1.0, 16.0, 256.0)
SEEDS = (0, 1, 2)
VAE = get_family("vae")
SPEC = StudySpec(
    name="mine",
    summary="A test.",
    preset="smoke",
    seeds=SEEDS,
    grid={"beta": BETAS},
    methods={
        "fixed": MethodSpec(fixed=True),
        "warm": MethodSpec(fixed=True, title="KL warm-up"),
        "gates": MethodSpec(),
    },
)


def _rows(loss, widths=(1,), spec=SPEC):
    """Results in which `loss(method, width, seed, beta)` is the full loss."""
    rows = []
    for method, m in spec.methods.items():
        for width in widths:
            for seed in SEEDS:
                for beta in BETAS:
                    full = loss(method, width, seed, beta)
                    rate = 40.0 / np.sqrt(beta) + seed
                    run = f"{method}/width{width}-seed{seed}"
                    rows.append(
                        {
                            "method": method,
                            "width": width,
                            "seed": seed,
                            "beta": beta,
                            "rate": rate,
                            "distortion": full - beta * rate,
                            "full_loss": full,
                            "train_seconds": 10.0 if m.fixed else 10.4,
                            "train_cpu_seconds": 8.0 if m.fixed else 8.8,
                            "cpu_ms_per_step": 5.0,
                            "steps": 100,
                            "parameters": 1234,
                            "reference_rate": 500.0,
                            "reference_distortion": 3000.0,
                            "example_values": 3072,
                            "run": run + (f"-beta{beta:g}" if m.fixed else ""),
                            "processor": "Some CPU",
                            "commit": "abc",
                            "data": "0123456789abcdef",
                            "protocol": "",
                            "failure": "",
                        }
                    )
    results = pd.DataFrame(rows)
    results["point"] = [f"beta={b:g}" for b in results.beta]
    return results


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    noise = {}

    def loss(*key):
        return noise.setdefault(key, 1500 + rng.normal(0, 30))

    return _rows(loss), noise


def _summaries(results, spec=SPEC):
    return {(s.method, s.width): s for s in comparison.summarize(results, spec)}


def test_differences_are_paired_with_the_better_baseline(noisy):
    results, loss = noisy
    gates = _summaries(results)["gates", 1]
    means = []
    for beta in BETAS:
        apart = [
            loss["gates", 1, s, beta]
            - min(loss["fixed", 1, s, beta], loss["warm", 1, s, beta])
            for s in SEEDS
        ]
        assert gates.differences[f"beta={beta:g}"] == pytest.approx(
            (np.mean(apart), np.std(apart, ddof=1))
        )
        means.append(apart)
    assert gates.mean_difference == pytest.approx(
        (np.mean(means), np.std(np.mean(means, axis=0), ddof=1))
    )
    assert gates.largest_difference == pytest.approx(
        np.mean(means, axis=1).max()
    )


def test_regret_is_to_the_best_of_all_methods(noisy):
    results, loss = noisy
    summaries = _summaries(results)
    for method in SPEC.methods:
        per_seed = [
            np.mean(
                [
                    loss[method, 1, s, b]
                    - min(loss[m, 1, s, b] for m in SPEC.methods)
                    for b in BETAS
                ]
            )
            for s in SEEDS
        ]
        assert summaries[method, 1].regret == pytest.approx(
            (np.mean(per_seed), np.std(per_seed, ddof=1))
        )


def test_hypervolume_is_over_beta_and_that_of_moocore(noisy):
    results, _ = noisy
    for (method, _), summary in _summaries(results).items():
        areas = []
        for seed in SEEDS:
            rows = results[(results.method == method) & (results.seed == seed)]
            areas.append(
                moocore.hypervolume(
                    rows[["rate", "distortion"]].to_numpy(), ref=[500, 3000]
                )
            )
        assert summary.hypervolume == pytest.approx(
            (np.mean(areas), np.std(areas, ddof=1))
        )


def test_fixed_weights_take_a_training_per_beta(noisy):
    results, _ = noisy
    summaries = _summaries(results)
    assert summaries["fixed", 1].num_runs == 3
    assert summaries["fixed", 1].seconds[0] == pytest.approx(30.0)
    assert summaries["gates", 1].num_runs == 1
    line = next(
        row
        for row in method_table(list(summaries.values()), SPEC).splitlines()
        if row.startswith("| gates")
    )
    assert [c.strip() for c in line.split("|")[4:8]] == [
        "1",
        "1.04",
        "1.10",
        "5.0",
    ]


def test_widths_are_compared_with_the_smallest_fixed_one():
    results = _rows(
        lambda method, width, seed, beta: 1500 + beta - 10 * width, (1, 2)
    )
    summaries = _summaries(results)
    assert summaries["fixed", 1].mean_difference[0] == 0
    assert summaries["fixed", 2].mean_difference[0] == pytest.approx(-10)
    assert summaries["gates", 2].differences["beta=16"] == pytest.approx(
        (-10, 0)
    )
    # Regret is among equals.
    assert summaries["gates", 2].regret == (0, 0)


def test_a_failed_run_leaves_gaps_and_a_sentence(noisy):
    results, loss = noisy
    lost = (results.method == "gates") & (results.seed == 1)
    results.loc[lost, "rate":"example_values"] = np.nan
    results.loc[lost, "distortion"] = np.nan
    results.loc[lost, "failure"] = "diverged: rate stopped being finite"
    gates = _summaries(results)["gates", 1]
    apart = [
        loss["gates", 1, s, 1.0]
        - min(loss["fixed", 1, s, 1.0], loss["warm", 1, s, 1.0])
        for s in (0, 2)
    ]
    assert gates.differences["beta=1"][0] == pytest.approx(np.mean(apart))
    text = report(results, SPEC, "the command", {})
    assert "- `gates/width1-seed1`: diverged: rate stopped" in text
    assert "nan" not in text


def test_a_method_that_failed_everywhere_is_a_row_of_dashes(noisy):
    results, _ = noisy
    lost = results.method == "gates"
    results.loc[lost, "rate":"example_values"] = np.nan
    results.loc[lost, "distortion"] = np.nan
    results.loc[lost, "failure"] = "diverged"
    text = report(results, SPEC, "the command", {})
    line = next(x for x in text.splitlines() if x.startswith("| gates"))
    assert set(line.replace("| gates", "").split()) == {"|", "—"}
    assert "nan" not in text


def test_the_tables_say_means_and_spreads():
    results = _rows(
        lambda method, width, seed, beta: (
            1500 + (seed - 11 if method == "gates" else 0)
        )
    )
    table = difference_table(comparison.summarize(results, SPEC), results, SPEC)
    assert "the better of *fixed* and *KL warm-up*" in table
    # -11, -10, -9 at every beta; -10 nats of 3072 values.
    bits = -10 / 3072 / np.log(2)
    cells = ["-10.0 ± 1.0"] * 4 + ["-10.0", f"{bits:+.4f}"]
    assert f"| gates | {' | '.join(cells)} |" in table
    assert "1,490.0 (41.00)" in loss_table(results, SPEC)


def test_what_was_measured_besides_is_a_table_of_means_over_seeds(noisy):
    results, _ = noisy
    at_1 = (results.method == "gates") & (results.beta == 1)
    results["mutual_information"] = np.nan
    results.loc[at_1, "mutual_information"] = [1.0, 2.0, 6.0]
    text = report(results, SPEC, "a command", {})
    assert "## What was measured besides" in text
    rows = [r for r in text.splitlines() if r.startswith("| gates | beta")]
    assert rows == ["| gates | beta 1 | 3.00 ± 2.65 |"]
    assert "- mutual information: of image and code" in text
    del results["mutual_information"]
    assert "besides" not in report(results, SPEC, "a command", {})


def test_lower_bounds_and_missing_seeds_are_told_and_not_drawn(noisy):
    results, _ = noisy
    results["active_units"] = 7
    results["mutual_information"] = 2.0
    results["mutual_information_ceiling"] = 9.2103
    results["mutual_information_at_least"] = 0
    at_1 = (results.method == "gates") & (results.beta == 1)
    at_16 = (results.method == "gates") & (results.beta == 16)
    # A rate above the ceiling: the mean of the others is of small rates.
    results.loc[at_1, "mutual_information"] = [8.0, 8.2, np.nan]
    results.loc[at_1, "mutual_information_at_least"] = [1, 0, 0]
    results.loc[at_16, "mutual_information"] = np.nan
    text = report(results, SPEC, "a command", {})
    rows = [r for r in text.splitlines() if r.startswith("| gates | beta")]
    assert rows[0] == "| gates | beta 1 | 7 ± 0 | >= 8.10 ± 0.14 (2 of 3) |"
    assert rows[1] == "| gates | beta 16 | 7 ± 0 | — |"
    assert "mutual information of so many images cannot exceed 9.21" in text
    drawn = figures._curves(results, SPEC, "mutual_information")["gates"]
    assert [row["beta"] for row in drawn] == [256.0]
    assert {row["mutual_information_ceiling"] for row in drawn} == {9.2103}
    assert drawn[0]["mutual_information_se"] == 0
    columns = columns_of(results.to_dict("records"), VAE)
    axes = figures.metrics_figure(results, SPEC, columns).axes[1]
    grey = [line for line in axes.lines if line.get_color() == "0.6"]
    (line,) = grey
    assert set(line.get_ydata()) == {9.2103}
    assert [text.get_text() for text in axes.texts] == ["at most"]


def test_a_report_of_what_is_told_alone_has_no_difference(noisy):
    """As after the first runs of a study."""
    results, _ = noisy
    results = results[results.method == "gates"]
    text = report(results, SPEC, "a command", {})
    assert "against the baseline" not in text
    assert "| gates |" in text


def test_a_run_without_a_metric_that_is_asked_for_is_not_finished(
    trained_run, tmp_path
):
    shutil.copytree(trained_run.path, tmp_path / "m/width1-seed0")
    config = trained_run.read_config()
    points = [{"beta": r["beta"]} for r in trained_run.read_curve()]
    run = PlannedRun("m", 1, 0, points, False, config)
    assert runner.is_finished(tmp_path, run)
    asking = dataclasses.replace(run, metrics=("nll=50", "mutual_information"))
    assert not runner.is_finished(tmp_path, asking)
    # Scored on another part of the data.
    chosen = dataclasses.replace(run, scored="validation")
    assert not runner.is_finished(tmp_path, chosen)
    file = tmp_path / "m/width1-seed0/evaluation.json"
    # As of a run that was killed after its curve was written.
    aside = file.rename(tmp_path / "aside")
    assert not runner.is_finished(tmp_path, run)
    aside.rename(file)
    content = json.loads(file.read_text())
    content["metrics"] = {"mutual_information": {}}
    file.write_text(json.dumps(content))
    assert not runner.is_finished(tmp_path, asking)
    content["metrics"]["nll"] = {"size": 50}
    file.write_text(json.dumps(content))
    assert runner.is_finished(tmp_path, asking)
    more = dataclasses.replace(asking, metrics=("nll=100",))
    assert not runner.is_finished(tmp_path, more)


def test_results_are_the_same_after_writing(noisy, tmp_path):
    results, _ = noisy
    results_module.write(results, tmp_path / "results.csv", VAE)
    again = results_module.read(tmp_path / "results.csv", VAE)
    assert list(again.columns) == list(results.columns)
    np.testing.assert_allclose(again.full_loss, results.full_loss, atol=1e-4)
    assert (again.failure == "").all()


@pytest.mark.parametrize("name", ["32", "1e-3", "none", "NA", "nan"])
def test_names_of_methods_are_texts(noisy, tmp_path, name):
    results, _ = noisy
    results.loc[results.method == "gates", "method"] = name
    results["data"] = "1234567e90123456"
    results["distortion_se"] = np.nan
    results_module.write(results, tmp_path / "results.csv", VAE)
    again = results_module.read(tmp_path / "results.csv", VAE)
    assert list(again.method) == list(results.method)
    assert set(again.data) == {"1234567e90123456"}
    assert again.distortion_se.isna().all()
    write_table(results[["method", "seed"]], tmp_path / "table.csv")
    assert list(read_table(tmp_path / "table.csv").method) == list(
        results.method
    )


def test_small_values_of_a_loss_parameter_stay_what_they_are(noisy, tmp_path):
    results, _ = noisy
    results["beta"] = results["beta"] * 1e-7
    results_module.write(results, tmp_path / "results.csv", VAE)
    again = results_module.read(tmp_path / "results.csv", VAE)
    np.testing.assert_array_equal(again.beta, results.beta)


def test_small_losses_keep_their_digits(noisy, tmp_path):
    results, _ = noisy
    results["rate"] = 4.6123456789e-7
    results["distortion"] = 4321.123456789
    results_module.write(results, tmp_path / "results.csv", VAE)
    again = results_module.read(tmp_path / "results.csv", VAE)
    assert set(again.rate) == {4.61235e-07}
    assert set(again.distortion) == {4321.123457}


def test_what_one_run_of_several_lacks_is_not_a_sum_of_the_others(noisy):
    results, _ = noisy
    lost = (results.method == "fixed") & (results.seed == 1)
    lost &= results.beta == 1
    results.loc[lost, ["train_seconds", "train_cpu_seconds"]] = np.nan
    before = _summaries(noisy[0][noisy[0].seed != 1])["fixed", 1]
    summary = _summaries(results)["fixed", 1]
    assert summary.seconds == pytest.approx(before.seconds)
    assert summary.cpu_seconds == pytest.approx(before.cpu_seconds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "does not exist"),
        ("a,b\n1,2\n", "results.csv of training.study"),
        ("", "results.csv of training.study"),
    ],
)
def test_another_file_is_no_results(text, sentence, tmp_path):
    path = tmp_path / "results.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        results_module.read(path, VAE)


@pytest.mark.parametrize(
    ("betas", "name", "ticks", "scale"),
    [
        (BETAS, "log2(beta)", ["0", "4", "8"], np.log2),
        ((0.0018, 0.018, 0.18), "beta", ["0.0018", "0.018", "0.18"], np.log2),
        # On a logarithmic scale the last two would be one.
        ((0.05, 0.9, 0.95), "beta", ["0.05", "0.9", "0.95"], np.array),
    ],
)
def test_points_stand_at_their_ticks(betas, name, ticks, scale):
    spec = dataclasses.replace(SPEC, grid={"beta": betas})
    found = _rows(lambda m, w, s, b: 100.0 + b)
    found["beta"] = found.beta.replace(dict(zip(BETAS, betas, strict=True)))
    found["point"] = [f"beta={b:g}" for b in found.beta]
    axes = difference_figure(found, spec).axes[0]
    assert axes.get_xlabel() == name
    assert [t.get_text() for t in axes.get_xticklabels()] == ticks
    places = axes.get_xticks()
    np.testing.assert_allclose(places, scale(betas))
    # Each nearer to its own tick than to another.
    for line in axes.containers:
        x = line.lines[0].get_xdata()
        nearest = np.abs(x[:, None] - places).argmin(1)
        np.testing.assert_array_equal(nearest, range(len(betas)))


def test_a_study_of_one_point_has_its_figure():
    spec = dataclasses.replace(SPEC, grid={"beta": BETAS[:1]})
    found = _rows(lambda m, w, s, b: 100.0 + b)
    axes = difference_figure(found[found.beta == BETAS[0]], spec).axes[0]
    np.testing.assert_allclose(axes.get_xticks(), np.log2(BETAS[:1]))


def test_points_of_one_place_have_one_name():
    found = _rows(lambda m, w, s, b: 100.0 + b)
    # One method's last two are one place.
    found["rate"] = found.beta.map(
        dict(zip(BETAS, (9.0, 0.1, 0.0), strict=True))
    )
    found["distortion"] = found.beta.map(
        dict(zip(BETAS, (1.0, 8.0, 8.1), strict=True))
    )
    axes = curves_figure(found, SPEC).axes[0]
    names = [f"beta={b:g}" for b in BETAS]
    said = [text.get_text() for text in axes.texts]
    assert said == [names[0], ", ".join(names[1:])]
