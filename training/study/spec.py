"""A study as a TOML file declares it.

    summary = "One line."
    preset = "cifar10"              # what all runs begin with
    seeds = [0, 1, 2]
    widths = [1]
    grid.beta = [1, 16, 64, 256]    # compared at these

    [overrides]                     # of all runs, names as in training.train
    training.epochs = 5
    model.conditioning.largest_map = "unset"

    [methods.yoto]                  # one run per width and seed
    title = "YOTO"
    model.conditioning.kind = "film"

    [methods.fixed]                 # one run per width, seed and point
    fixed = true

A method may have seeds, widths and a grid of its own. A family of one's own
is named by `family = "module:name"`. Imports no TensorFlow.
"""

import dataclasses
import tomllib
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from yoto_tf import points
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.strict_config import Config

SHIPPED = Path(__file__).parents[1] / "studies"


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
        for name in ("seeds", "widths", "grid", "methods"):
            if not getattr(self, name):
                raise InputError(
                    f"expected {name} with one entry or more, received: "
                    f"{name}={getattr(self, name)!r}"
                )
        _check_lists(self)

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


def load_spec(name, preset=None, settings=()):
    """Reads a study.

    Args:
        name: of a shipped study, or the path of a TOML file.
        preset: to begin with in place of the file's.
        settings: texts `NAME=VALUE`, in TOML, that replace lines of the
            file: `seeds=[0]`, `training.epochs=100`.

    Returns:
        `StudySpec`, called like the file, and like the preset if that was
        replaced.

    Raises:
        InputError: for a file that cannot be used; the sentence names it.
    """
    path = _find(name)
    try:
        content = tomllib.loads(path.read_text())
        spec = _replaced(content, preset, settings)
        own = path.stem if preset is None else f"{path.stem}_{preset}"
        return _parse(own, spec)
    except (InputError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: {error}") from error


def shipped():
    """Returns the names of the studies that come with the project."""
    return sorted(p.stem for p in SHIPPED.glob("*.toml"))


def _find(name):
    path = Path(name)
    if path.suffix != ".toml":
        path = SHIPPED / f"{name}.toml"
    if not path.is_file():
        raise InputError(
            f"expected a TOML file or a study among {shipped()}, "
            f"received: {str(name)!r}"
        )
    return path


def _replaced(content, preset, settings):
    for text in settings:
        try:
            given = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                f"expected a setting NAME=VALUE in TOML, received: {text!r} "
                f"({error})"
            ) from None
        known = ("seeds", "widths", "grid", "methods", "summary", "family")
        groups = {k: given.pop(k) for k in list(given) if k not in known}
        _merge(content, {**given, "overrides": groups})
    if preset:
        content["preset"] = preset
    return content


def _merge(table, given):
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(table.get(key, {}), dict):
            _merge(table.setdefault(key, {}), value)
        else:
            table[key] = value


def _parse(name, content):
    content = dict(content)
    groups = _groups(content)
    methods = content.pop("methods", {})
    if not isinstance(methods, dict):
        raise InputError(
            f"expected tables [methods.NAME], received: methods={methods!r}"
        )
    parsed = {}
    for method, values in methods.items():
        try:
            parsed[method] = _parse_method(values, groups)
        except InputError as error:
            raise InputError(f"[methods.{method}] {error}") from error
    overrides = content.pop("overrides", {})
    if not isinstance(overrides, dict):
        raise InputError(
            f"expected a table [overrides], received: overrides={overrides!r}"
        )
    return _from_toml(
        StudySpec,
        {
            **content,
            "name": name,
            "methods": parsed,
            "overrides": _flatten(overrides),
        },
        hidden=("name", "overrides"),
        groups=groups,
    )


def _groups(content):
    """Names of the settings that the preset's family has."""
    given = [content.get(k, "") for k in ("preset", "family")]
    if not all(isinstance(g, str) for g in given) or not given[0]:
        raise InputError(
            f'expected preset = "NAME", received: preset={given[0]!r}'
        )
    config = get_preset(given[0], given[1] or None).config
    return tuple(f.name for f in dataclasses.fields(config))


def _parse_method(values, names):
    if not isinstance(values, dict):
        raise InputError(f"expected a table, received: {values!r}")
    groups = {k: v for k, v in values.items() if k.split(".")[0] in names}
    rest = {k: v for k, v in values.items() if k not in groups}
    if "overrides" in rest:
        raise InputError(
            "expected settings right in the method's table, received: "
            "'overrides'"
        )
    return _from_toml(
        MethodSpec,
        {**rest, "overrides": _flatten(groups)},
        hidden=("overrides",),
        groups=names,
    )


def _from_toml(cls, values, hidden, groups):
    """Builds a configuration; its required keys are named if missing."""
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(
            f"expected keys among {sorted(known - set(hidden))}, or settings "
            f"of {list(groups)}, received: {unknown[0]!r}"
        )
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is f.default_factory is dataclasses.MISSING
        and f.name not in values
    ]
    if missing:
        raise InputError(f"expected {missing[0]} = ..., received: no such key")
    values = {k: _tuples(v) for k, v in values.items()}
    if isinstance(values.get("grid"), dict):
        values["grid"] = {k: _tuples(v) for k, v in values["grid"].items()}
    return cls(**values)


def _tuples(value):
    """TOML's lists are the configuration's tuples."""
    return tuple(value) if isinstance(value, list) else value


def _flatten(table, prefix=""):
    """Nested tables to dotted names; both may be written."""
    flat = {}
    for key, value in table.items():
        name = prefix + key.replace("-", "_")
        if isinstance(value, dict):
            flat |= _flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def _check_lists(spec):
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
            or not all(isinstance(v, int | float) for v in values)
            or len(set(values)) < len(values)
        ):
            raise InputError(
                f"expected grid.{name} as a list of different numbers, "
                f"received: {name}={values!r}"
            )
