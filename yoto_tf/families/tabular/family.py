"""What the scripts need to know of networks on tables. Imports no
TensorFlow."""

import copy
import math

import numpy as np

from yoto_tf import points
from yoto_tf.conditioning_config import idle_beside
from yoto_tf.errors import InputError
from yoto_tf.examples import Examples
from yoto_tf.families.base import Family
from yoto_tf.families.parts import Column
from yoto_tf.families.parts import LineFigure
from yoto_tf.families.tabular.config import TableConditioningConfig
from yoto_tf.families.tabular.config import TabularConfig
from yoto_tf.families.tabular.dimensions import DIMENSIONS
from yoto_tf.families.tabular.presets import PRESETS

# A variance beside which a column is 0 to a network.
_ENDLESS = 1e30
_COST = Column("expected_cost", "expected cost", ".4f", "per row")
_MISSES = Column("miss_rate", "miss rate", ".3f")
_ALARMS = Column("false_alarm_rate", "false-alarm rate", ".3f")
_PINBALL = Column("pinball", "pinball loss", ".4f", "per row")
_UNDER = Column("under", "mean amount above the answer", ".3f")
_OVER = Column("over", "mean amount below the answer", ".3f")
_COVERAGE = Column("coverage", "coverage", ".3f")


class TabularFamily(Family):
    """A `CostSensitiveClassifier` or a `QuantileRegressor`: the setting
    `task` says which, `parameters` which knobs it has."""

    settings = TabularConfig
    presets = PRESETS
    dimensions = DIMENSIONS
    columns = [_COST, _MISSES, _ALARMS]
    trade_off = (_ALARMS, _MISSES)
    objective = _COST

    def for_settings(self, settings):
        made, task = copy.copy(self), _TASKS[settings.task]
        made.of = settings
        made.task = task
        for name in ("columns", "trade_off", "objective", "lines"):
            setattr(made, name, getattr(task, name))
        made.parameters = task.parameters(settings)
        return made

    # Data.

    def load(self, settings, parts=("train", "test"), known=None):
        from yoto_tf.families.tabular.table import load_table

        # All of it: what is scored needs the training rows' categories.
        return load_table(settings.data)

    def random_examples(self, preset, num):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(num, *preset.example_shape)).astype("float32")
        return Examples(x, (rng.random(num) < 0.5).astype("float32"))

    # The model.

    def model(self, settings, splits):
        from yoto_tf.families.tabular import model

        made = {
            "classification": model.CostSensitiveClassifier,
            "quantile": model.QuantileRegressor,
        }[settings.task]
        x, y = (part.astype("float64") for part in splits.train.arrays)
        # One text or not stays 0 and 1: a rare one would become a number
        # that outweighs all others. What no training row differs in keeps
        # the weights that it was drawn: it is told to no layer.
        texts = ((x == 0) | (x == 1)).all(axis=0)
        same = x.min(axis=0) == x.max(axis=0)
        scale = {}
        if settings.task == "quantile":
            scale = {"target_mean": y.mean(), "target_deviation": y.std()}
        objective = settings.objective
        return made(
            settings.model,
            np.where(texts, 0, x.mean(axis=0)),
            np.where(same, _ENDLESS, np.where(texts, 1, x.var(axis=0))),
            **scale,
            # A benchmark's random numbers have none.
            fields=getattr(splits, "fields", ()),
            target=getattr(splits, "target", ""),
            loss_parameters={
                p.name: p.parameter() for p in settings.parameters
            },
            normalization=objective.normalization,
            normalization_power=objective.power,
            seed=settings.training.seed,
        )

    def register(self):
        import yoto_tf.families.tabular.model  # noqa: F401

    def owns(self, model):
        from yoto_tf.families.tabular.model import TableModel

        return isinstance(model, TableModel)

    def view_of(self, model):
        from yoto_tf.families.tabular.view import view_of

        return view_of(model)

    def fixed(self, settings, point):
        return {
            "parameters": tuple(
                p.fixed(point[p.name]) for p in settings.parameters
            )
        }

    def unconditioned(self, settings):
        return {"model.conditioning.kind": "none"}

    def searched(self, settings, chosen):
        # What only some kinds have is the default beside the others.
        chosen, place = dict(chosen), "model.conditioning."
        kind = chosen.get(f"{place}kind", settings.model.conditioning.kind)
        for name in idle_beside(kind):
            chosen[place + name] = getattr(TableConditioningConfig, name)
        return chosen

    # Scores.

    def check_validation(self, settings):
        self.task.check_validation(settings)

    def score(self, model, examples, grid, batch_size=500, seed=0, done=None):
        return self.task.score(self, model, examples, grid, batch_size, done)

    def grid(self, settings):
        first, *further = settings.parameters
        values = settings.evaluation.values
        if first.distribution == "constant" or not values:
            values = first.parameter().grid(5)
        return points.product(
            {first.name: values}
            | {p.name: p.parameter().grid(3) for p in further}
        )


class _Classification:
    """What a classifier is scored by, and how."""

    trade_off = (_ALARMS, _MISSES)
    objective = _COST
    columns = [
        _COST,
        _MISSES,
        _ALARMS,
        Column("auc", "AUC", ".4f"),
        Column("full_loss", "cross-entropy", ".4f"),
    ]
    lines = [
        LineFigure(
            "expected_cost",
            "what misses and false alarms cost per test row, at every cost of "
            "a miss; lower is better",
            _COST,
            log=True,
        )
    ]

    @staticmethod
    def parameters(settings):
        return tuple(p.name for p in settings.parameters)

    @staticmethod
    def check_validation(settings):
        if settings.evaluation.threshold == "tuned":
            raise InputError(
                "expected evaluation.threshold='of_cost' where validation rows "
                "are scored, on which a threshold would be tuned, received: "
                "evaluation.threshold='tuned'"
            )

    @staticmethod
    def score(family, model, examples, grid, batch_size, done):
        from yoto_tf.families.tabular import scores

        held_out = None
        if family.of.evaluation.threshold == "tuned":
            held_out = family.load(family.of).validation
        rows = []
        for number, point in enumerate(grid, 1):
            costs = {"miss": 1.0, "false_alarm": 1.0, **point}
            threshold = 0.0
            if held_out is not None:
                logit = _logit(model, held_out.x, point, batch_size)
                threshold = scores.best_threshold(held_out.y, logit, **costs)
            logit = _logit(model, examples.x, point, batch_size)
            scored = scores.classification(
                examples.y, logit, **costs, threshold=threshold
            )
            rows.append({**point, **scored, "threshold": threshold})
            if done:
                done(number)
        return rows


class _Quantile:
    """What answers with quantiles is scored by, and how."""

    trade_off = (_OVER, _UNDER)
    objective = _PINBALL
    columns = [
        _PINBALL,
        _COVERAGE,
        Column("crossings", "crossings", ".4f"),
        _UNDER,
        _OVER,
    ]
    lines = [
        LineFigure(
            "coverage",
            "share of test targets at or below the answer less the level, "
            "which should be 0",
            _COVERAGE,
            aim="level",
        ),
        LineFigure(
            "pinball",
            "pinball loss on the test rows, level by level; lower is better",
            _PINBALL,
        ),
    ]

    @staticmethod
    def parameters(settings):
        return ("level",)

    @staticmethod
    def check_validation(settings):
        pass

    @staticmethod
    def score(family, model, examples, grid, batch_size, done):
        from yoto_tf.families.tabular import scores

        rows, lower = {}, None
        order = sorted(range(len(grid)), key=lambda i: grid[i]["level"])
        for number, i in enumerate(order, 1):
            point = grid[i]
            asked = model.loss_parameters.numbers(point)
            answer = _answers(model, examples.x, asked, batch_size, "quantile")
            rows[i] = {
                **point,
                **scores.quantile(examples.y, answer, point["level"], lower),
            }
            lower = answer
            if done:
                done(number)
        return [rows[i] for i in range(len(grid))]


def _logit(model, x, point, batch_size):
    """Of the answer for the costs of a point.

    A model with constant costs has answered for those: the ratio of the
    costs multiplies the odds (Elkan, 2001, theorem 1).
    """
    joint = model.loss_parameters
    asked = {n: point[n] for n in joint.varying}
    known = {**joint.defaults, **asked}
    shift = math.log(point.get("miss", 1) / known.get("miss", 1))
    shift -= math.log(point.get("false_alarm", 1) / known.get("false_alarm", 1))
    return _answers(model, x, asked, batch_size, "logit") + shift


def _answers(model, x, asked, batch_size, name):
    """An output of the model for all rows, float64."""
    if len(x) < 2:
        raise InputError(
            f"expected two or more rows to score, received: {len(x)}"
        )
    answers = model.predict(
        x, loss_parameters=asked, batch_size=batch_size, verbose=0
    )
    return np.asarray(answers[name], "float64")


_TASKS = {"classification": _Classification, "quantile": _Quantile}
FAMILY = TabularFamily()
