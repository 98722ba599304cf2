"""A study: what is trained, scored and compared. Imports no TensorFlow."""

import math
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Literal

from training import metrics
from yoto_tf import points
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.seeds import checked_seed
from yoto_tf.strict_config import Config
from yoto_tf.strict_config import with_settings


@dataclass(frozen=True, kw_only=True)
class MethodSpec(Config):
    """One way to train, and the runs that it takes."""

    title: str = ""
    """In tables and figures; unset: the method's name."""
    fixed: bool = False
    """A separate run for every point, with its values as constants."""
    seeds: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    grid: dict = field(default_factory=dict)
    """Name of a loss parameter -> values: trained (fixed) or scored; unset:
    those of the study."""
    overrides: dict = field(default_factory=dict)
    """Dotted name of a setting -> value."""

    def _check(self):
        _check_lists(self)


@dataclass(frozen=True, kw_only=True)
class StudySpec(Config):
    """What is trained, scored and compared."""

    name: str
    summary: str
    preset: str
    seeds: tuple[int, ...]
    grid: dict
    """Name of a loss parameter -> values: all combinations are compared."""
    methods: dict[str, MethodSpec]
    family: str = ""
    """One's own, as module:name."""
    widths: tuple[int, ...] = (1,)
    overrides: dict = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    """What else to measure of every run, as `training.evaluate --metrics`."""
    scored: Literal["test", "validation"] = "test"
    """On which part of the data; `validation`, held-out training examples, is
    for settings that are still to be chosen."""
    protocol: str = ""
    """A file, seen from the study's: what was decided before the scores."""
    files: tuple[str, ...] = ()
    """Where the study was read from: its own file, and those it builds on."""
    replaced: bool = False
    """Whether the preset or settings are others than the file's."""

    def _check(self):
        names = self.model_family.parameters
        for grid in (self.grid, *(m.grid for m in self.methods.values())):
            if grid and tuple(sorted(grid)) != tuple(sorted(names)):
                raise InputError(
                    f"expected grid with values of {', '.join(names)}, "
                    f"received: grid of {', '.join(grid)}"
                )
        if self.model_family.width is None and self.widths != (1,):
            raise InputError(
                "expected widths unset for a family without a width, "
                f"received: widths={self.widths}"
            )
        self._check_scored(metrics.parsed(self.metrics, self.model_family))
        for name in ("seeds", "widths", "grid", "methods"):
            if not getattr(self, name):
                raise InputError(
                    f"expected {name} with one entry or more, received: "
                    f"{name}={getattr(self, name)!r}"
                )
        _check_lists(self)
        _check_settings(self)
        _check_points(self)

    def _check_scored(self, asked):
        if self.scored == "test":
            return
        needing = [n for n in asked if self.model_family.metrics[n].factors]
        if needing:
            # They are those of the test examples.
            raise InputError(
                "expected metrics without the factors of the data beside "
                f'scored="validation", received: {", ".join(needing)}'
            )

    @property
    def scored_on(self):
        """That part in words."""
        if self.scored == "test":
            return "the test split"
        return "held-out training examples"

    @property
    def settings(self):
        """The preset's settings."""
        return get_preset(self.preset, self.family or None).config

    @property
    def model_family(self):
        """`Family` of all runs."""
        return family_for(self.settings)

    def points(self, method=None):
        """The points compared, or those of a method: list of dicts."""
        grid = (method.grid if method else None) or self.grid
        ordered = {n: grid[n] for n in self.model_family.parameters}
        return points.product(ordered)

    def labels(self):
        """`points.label` of every compared point, ascending."""
        compared = sorted(self.points(), key=lambda p: tuple(p.values()))
        return [points.label(p) for p in compared]

    def title(self, method):
        """Returns the title of the method of that name."""
        return self.methods[method].title or method.replace("_", " ")

    @property
    def fixed_methods(self):
        """Names of the methods with a run per point: the baselines."""
        return [name for name, m in self.methods.items() if m.fixed]

    @property
    def compares(self):
        """Whether there is another method than one baseline."""
        return bool(self.fixed_methods) and len(self.methods) > 1


def _is_number(value):
    # To Python True is 1.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _check_settings(spec):
    """Refuses settings that a study has a list of its own for, by which it
    would replace them, and names of methods that name no folder."""
    lists = {"training.seed": "seeds"}
    if spec.model_family.width:
        lists[spec.model_family.width] = "widths"
    for overrides in (
        spec.overrides,
        *(method.overrides for method in spec.methods.values()),
    ):
        for setting, name in lists.items():
            if setting in overrides:
                raise InputError(
                    f"expected {name} = [...], received: "
                    f"{setting}={overrides[setting]!r}, which is set by it"
                )
    for name in spec.methods:
        if name in ("", ".", "..") or "\\" in name or Path(name).name != name:
            raise InputError(
                "expected a method's name that can name a folder, received: "
                f"[methods.{name!r}]"
            )


def _check_points(spec):
    """Refuses, before anything is trained, what no model could be asked, and
    a method of which nothing would be compared."""
    for method in (None, *spec.methods.values()):
        if method and not any(p in spec.points() for p in spec.points(method)):
            raise InputError(
                "expected a method's grid to share a point with the study's, "
                f"grid={spec.grid}, received: grid={method.grid}"
            )
        for point in spec.points(method):
            with_settings(
                spec.settings, spec.model_family.fixed(spec.settings, point)
            )


def _check_lists(spec):
    for seed in spec.seeds:
        checked_seed(seed, "seeds")
    for name in ("seeds", "widths"):
        values = getattr(spec, name)
        lowest = 0 if name == "seeds" else 1
        if any(v < lowest for v in values) or len(set(values)) < len(values):
            raise InputError(
                f"expected {name} to be different numbers of {lowest} or "
                f"more, received: {name}={values}"
            )
    for name, values in spec.grid.items():
        if (
            not isinstance(values, tuple)
            or not values
            or not all(map(_is_number, values))
            or len(set(values)) < len(values)
        ):
            raise InputError(
                f"expected grid.{name} as a list of different numbers, "
                f"received: {name}={values!r}"
            )
        for value in values:
            # As tables and figures name it.
            if float(f"{value:g}") != value:
                raise InputError(
                    f"expected grid.{name} with values of six digits at most, "
                    f"as {value:g}, received: {value!r}"
                )
