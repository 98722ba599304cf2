"""What others make of a table's rows: `python -m training.references PRESET`.

Scikit-learn's linear models and boosted trees, trained on the same training
rows and scored on the same test rows as a preset's runs, with the same
columns. And with `--separate` runs that were trained for one level each,
scored together: how often their answers cross.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory


@dataclass(frozen=True)
class Arguments:
    """Score scikit-learn's models on the rows of a preset."""

    preset: tyro.conf.Positional[str]
    """One of the family `tabular`."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the boosted trees."""
    separate: tuple[Path, ...] = ()
    """Runs of separate models for one level each, in place of
    scikit-learn's."""


def scikit_learn(settings, seeds=(0, 1, 2)):
    """Scores scikit-learn's models at the points of the settings' grid.

    Args:
        settings: `TabularConfig`.
        seeds: of the boosted trees.

    Returns:
        dict, name of a model -> list of rows, as of `Family.score`, with a
        `seed`.
    """
    family = family_for(settings)
    splits, grid = family.load(settings), family.grid(settings)
    mean, spread = splits.train.x.mean(axis=0), splits.train.x.std(axis=0)

    def inputs(part):
        return (part.x - mean) / np.where(spread > 0, spread, 1)

    train, test = inputs(splits.train), inputs(splits.test)
    score = _alarms if settings.task == "classification" else _quantiles
    found = {}
    for name, seed, rows in score(
        train, splits.train.y, test, splits.test.y, grid, seeds
    ):
        found.setdefault(name, []).extend({**r, "seed": seed} for r in rows)
    return found


def _alarms(train, y, test, y_test, grid, seeds):
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    from yoto_tf.families.tabular.scores import classification

    costs = [{"miss": 1.0, "false_alarm": 1.0, **point} for point in grid]

    def rows(logits):
        scored = zip(grid, costs, logits, strict=True)
        return [
            {**p, **classification(y_test, logit, **c)}
            for p, c, logit in scored
        ]

    def moved(model):
        p = model.fit(train, y).predict_proba(test)[:, 1].clip(1e-9, 1 - 1e-9)
        ratios = (c["miss"] / c["false_alarm"] for c in costs)
        return rows([np.log(p / (1 - p) * r) for r in ratios])

    linear = {"max_iter": 2000}
    yield (
        "logistic regression, threshold of the cost",
        0,
        moved(LogisticRegression(**linear)),
    )
    weighted = [
        LogisticRegression(
            class_weight={0: c["false_alarm"], 1: c["miss"]}, **linear
        )
        for c in costs
    ]
    answers = [m.fit(train, y).decision_function(test) for m in weighted]
    yield "logistic regression, one per cost", 0, rows(answers)
    for seed in seeds:
        trees = HistGradientBoostingClassifier(
            max_iter=150, max_depth=3, learning_rate=0.05, random_state=seed
        )
        yield "boosted trees, threshold of the cost", seed, moved(trees)


def _quantiles(train, y, test, y_test, grid, seeds):
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import QuantileRegressor

    def answers(make):
        return {
            p["level"]: make(p["level"]).fit(train, y).predict(test)
            for p in grid
        }

    linear = answers(lambda level: QuantileRegressor(quantile=level, alpha=0.0))
    yield "linear quantile regression", 0, together(y_test, linear)
    for seed in seeds:
        trees = answers(
            lambda level, seed=seed: HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                max_iter=150,
                max_depth=3,
                learning_rate=0.05,
                random_state=seed,
            )
        )
        yield "boosted trees", seed, together(y_test, trees)


def together(y, answers):
    """Scores the answers of models for one level each.

    Args:
        y: `(n,)` targets.
        answers: dict, level -> `(n,)`.

    Returns:
        list of dicts, as of `Family.score`, by rising level.
    """
    from yoto_tf.families.tabular.scores import quantile

    rows, lower = [], None
    for level in sorted(answers):
        rows.append(
            {"level": level, **quantile(y, answers[level], level, lower)}
        )
        lower = answers[level]
    return rows


def separate(runs):
    """Scores runs for one level each together.

    Args:
        runs: list of `RunDirectory` on the same rows.

    Returns:
        list of dicts, as of `together`.

    Raises:
        InputError: for runs of other rows, or of several levels.
    """
    answers, versions = {}, set()
    for run in runs:
        settings = run.read_config()
        knobs = getattr(settings, "parameters", ())
        if [(p.name, p.distribution) for p in knobs] != [("level", "constant")]:
            raise InputError(
                f"expected runs for one level each, received: {run.path}"
            )
        splits = run.family().load(settings)
        versions.add(splits.version)
        found = run.load_model().predict(splits.test.x, 500, verbose=0)
        answers[knobs[0].values[0]] = found["quantile"]
    if len(versions) != 1 or len(answers) < len(runs):
        raise InputError(
            "expected runs on the same rows, each for another level, "
            f"received: {len(runs)} runs for {len(answers)} levels on "
            f"{len(versions)} tables"
        )
    return together(splits.test.y, answers)


def main(argv=None):
    arguments = parsed(Arguments, "python -m training.references", argv)
    with reported_on_the_command_line():
        settings = get_preset(arguments.preset, "tabular").config
        import_keras_quietly()
        if arguments.separate:
            runs = [RunDirectory(p) for p in arguments.separate]
            found = {"separate models": separate(runs)}
        else:
            found = scikit_learn(settings, arguments.seeds)
        family = family_for(settings)
        shown = [c for c in family.columns if c.name != "full_loss"]
        knobs = list(family.parameters)
        titles = ["model", *knobs, *(c.title for c in shown)]
        print(f"| {' | '.join(titles)} |")
        print(f"| --- |{' ---: |' * (len(titles) - 1)}")
        for name, rows in found.items():
            for point in family.grid(settings):
                at = [r for r in rows if all(r[n] == point[n] for n in knobs)]
                cells = [f"{point[n]:g}" for n in knobs] + [
                    format(np.mean([r[c.name] for r in at]), c.form)
                    for c in shown
                ]
                print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
