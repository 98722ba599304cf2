"""What a family is described by. Imports no TensorFlow."""

import dataclasses
from collections.abc import Callable

from yoto_tf.settings import Settings


@dataclasses.dataclass(frozen=True)
class Preset:
    """A configuration and what is known of it.

    Attributes:
        summary: one line.
        source: where the numbers come from.
        cost: time and memory on two CPU cores.
        expect: what the run should show.
        config: the settings, of the class that the family has.
        example_shape: of one example's inputs in its data set.
    """

    summary: str
    source: str
    cost: str
    expect: str
    config: Settings
    example_shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Column:
    """A score, as tables and figures show it.

    Attributes:
        name: of the column in `curve.csv`; where there is `NAME_se` beside
            it, that is its standard error; where `NAME_ceiling`, what it
            cannot exceed, and where `NAME_at_least` is not 0, the truth may
            be above, and is `NAME_at_most` at most.
        title: for people.
        form: format of its numbers.
        unit: of its numbers, where they have one.
    """

    name: str
    title: str
    form: str = ".4g"
    unit: str = ""

    @property
    def label(self):
        """The title with the unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclasses.dataclass(frozen=True)
class Metric:
    """Something that is measured of a trained model when it is asked for.

    Attributes:
        meaning: one line.
        columns: list of `Column`, that it adds to `curve.csv`, not a number
            where it was not measured, and of those of the family that are
            shown with them.
        size: what `NAME=SIZE` sets, if anything, by default.
        factors: whether it needs the factors of the data.
        most: how many points of a grid at most are measured; None: all.
    """

    meaning: str
    columns: list[Column]
    size: int | None = None
    factors: bool = False
    most: int | None = None


@dataclasses.dataclass(frozen=True)
class PictureGrid:
    """Pictures to be drawn in rows.

    Attributes:
        name: of the file.
        meaning: one sentence.
        title: above them.
        rows: `(rows, columns, height, width, channels)` in [0, 1].
        row_labels: one text per row.
        column_labels: one per column, or none.
    """

    name: str
    meaning: str
    title: str
    rows: list
    row_labels: list
    column_labels: list | None = None


@dataclasses.dataclass(frozen=True)
class LineFigure:
    """A score against the first loss parameter, a line for every run; of a
    study, one for every method, with the spread over seeds.

    Attributes:
        name: of the file.
        meaning: one sentence.
        column: the score; where there is `NAME_se` beside it, the errors of
            a single run.
        aim: name of the parameter, or column, that the score should equal or
            cannot exceed, if any: drawn as a line.
        log: whether the score is drawn on a logarithmic axis.
    """

    name: str
    meaning: str
    column: Column
    aim: str | None = None
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Dimension:
    """Something that a search may vary.

    Attributes:
        name: of it, on the command line.
        setting: dotted name of the setting.
        kind: type of a candidate there: `int`, `float`, `str`, a `Literal`.
        around: from the settings to the candidates that are searched by
            default; the settings' own value is added to them.
        meaning: for the help.
        only_with: `(name of another, its texts)` without which this one has
            no effect.
        own: from the settings to their candidate; None: the value there.
        value: from a candidate to the setting's value; None: itself.
    """

    name: str
    setting: str
    kind: type
    around: Callable
    meaning: str
    only_with: tuple[str, tuple[str, ...]] | None = None
    own: Callable | None = None
    value: Callable | None = None

    def of(self, settings):
        """The settings' own value, as a candidate."""
        if self.own:
            return self.own(settings)
        found = settings
        for key in self.setting.split("."):
            found = getattr(found, key)
        return found


LEARNING_RATE = Dimension(
    "learning_rate",
    "optimizer.learning_rate",
    float,
    lambda settings: [
        settings.optimizer.learning_rate * f for f in (0.3, 1, 3)
    ],
    "Of Adam.",
)
"""For families whose settings are near a good one."""
