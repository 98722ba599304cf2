"""The studies on tables that come with the project, and what came of them."""

import pathlib

import pytest

from training.study import outcome
from training.study import results as results_module
from training.study.plan import planned_runs
from training.study.spec_file import load_spec


@pytest.mark.parametrize(
    ("study", "names"),
    [
        (
            "default_cost_comparison",
            {"ours", "fixed", "fixed_equal_cost", "threshold", "tuned"},
        ),
        (
            "credit_cost_comparison",
            {"ours", "fixed", "fixed_equal_cost", "threshold", "tuned"},
        ),
        ("visits_quantile_comparison", {"ours", "fixed", "fixed_equal_cost"}),
    ],
)
def test_shipped_studies_are_fair_and_their_results_are_there(
    study, names, tmp_path
):
    spec = load_spec(study)
    planned = planned_runs(spec)
    assert names <= set(spec.methods)
    points = len(spec.points())
    steps = {}
    for one in planned:
        steps.setdefault((one.method, one.seed), []).append(
            one.config.training.steps
        )
    for seed in spec.seeds:
        [ours] = steps["ours", seed]
        assert steps["fixed", seed] == [ours] * points
        assert sum(steps["fixed_equal_cost", seed]) == ours
    folder = pathlib.Path(__file__).parents[2] / "docs/studies" / study
    table = results_module.read(folder / "results.csv", spec.model_family)
    assert set(table.run) == {one.name for one in planned}
    assert (table.failure == "").all()
    results_module.write(table, tmp_path / "results.csv", spec.model_family)
    outcome.write_report(spec, planned, tmp_path, tmp_path, "x", log=str)
    for line in spec.model_family.lines:
        assert (tmp_path / f"{line.name}.png").stat().st_size > 10_000
