"""A study as a TOML file declares it.

    summary = "One line."
    preset = "cifar10"              # what all runs begin with
    seeds = [0, 1, 2]
    widths = [1]
    grid.beta = [1, 16, 64, 256]    # compared at these
    metrics = ["all"]               # measured beside the scores, in minutes
    scored = "test"                 # or "validation", to choose settings

    [overrides]                     # of all runs, names as in training.train
    training.epochs = 5
    model.conditioning.largest_map = "unset"

    [methods.yoto]                  # one run per width and seed
    title = "YOTO"
    model.conditioning.kind = "film"

    [methods.fixed]                 # one run per width, seed and point
    fixed = true

`base = "other.toml"`, a file beside it, gives all that it does not say itself;
`methods.NAME = "unset"` leaves one of its methods out.
A method may have seeds, widths and a grid of its own. A family of one's own
is named by `family = "module:name"`. Imports no TensorFlow.
"""

import dataclasses
import tomllib
from pathlib import Path

from training.study.spec import MethodSpec
from training.study.spec import StudySpec
from yoto_tf.errors import InputError
from yoto_tf.families import get_preset

SHIPPED = Path(__file__).parents[1] / "studies"


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
        content, files = _read(path.resolve())
        hidden = {
            "files": tuple(map(str, files)),
            "replaced": bool(preset or settings),
        }
        spec = _replaced(content, preset, settings)
        own = path.stem if preset is None else f"{path.stem}_{preset}"
        return _parse(own, spec, hidden)
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


def _read(path, above=()):
    """What a file and its base say, and the files."""
    content = tomllib.loads(path.read_text())
    above = (*above, path)
    base = content.pop("base", None)
    if base is None:
        return content, [path]
    file = (path.parent / str(base)).resolve()
    if not file.is_file() or file.suffix != ".toml" or file in above:
        raise InputError(
            "expected base as the name of another TOML file beside the "
            f"study's, received: base={base!r}"
        )
    found, files = _read(file, above)
    _leave_out(found, content)
    _merge(found, content)
    return found, [path, *files]


def _leave_out(found, content):
    """Takes methods that are `unset` out of both."""
    methods = _tables(content)
    unset = [n for n, m in methods.items() if m == "unset"]
    for name in unset:
        del methods[name]
        if found.get("methods", {}).pop(name, None) is None:
            raise InputError(
                "expected a method of the base to be left out, among "
                f"{sorted(found.get('methods', {}))}, received: "
                f'methods.{name}="unset"'
            )


def _tables(content):
    methods = content.get("methods", {})
    if not isinstance(methods, dict):
        raise InputError(
            f"expected tables [methods.NAME], received: methods={methods!r}"
        )
    return methods


def _replaced(content, preset, settings):
    of_all, said = [], set()
    for text in settings:
        try:
            given = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                f"expected a setting NAME=VALUE in TOML, received: {text!r} "
                f"({error})"
            ) from None
        known = (
            *("seeds", "widths", "grid", "methods", "summary", "family"),
            *("metrics", "scored"),
        )
        groups = {k: given.pop(k) for k in list(given) if k not in known}
        of_all += _flatten(groups)
        for method, values in _tables(given).items():
            # What is given for a method is meant for it.
            if isinstance(values, dict):
                said |= {f"{method}.{n}" for n in _flatten(values)}
        _merge(content, {**given, "overrides": groups})
    _check_no_method_sets(of_all, _tables(content), said)
    if preset:
        content["preset"] = preset
    return content


def _check_no_method_sets(names, methods, said):
    """A setting of all runs has no effect on a method that sets it itself;
    `said` are those of single methods that are given beside it."""
    for method, values in methods.items():
        own = _flatten(values) if isinstance(values, dict) else {}
        for name in names:
            if name in own and f"{method}.{name}" not in said:
                raise InputError(
                    f"expected a setting that no method sets itself, or "
                    f"methods.{method}.{name}=..., received: {name}, which "
                    f"method {method} has as {own[name]!r}"
                )


def _merge(table, given):
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(table.get(key, {}), dict):
            _merge(table.setdefault(key, {}), value)
        else:
            table[key] = value


def _parse(name, content, hidden):
    content = dict(content)
    for key in (*hidden, "name"):
        if key in content:
            raise InputError(f"expected no key {key!r}, received: {key}=...")
    protocol = content.get("protocol", "")
    if protocol:
        # Of a base's protocol, too: files that build on it lie beside it.
        found = Path(hidden["files"][0]).parent / str(protocol)
        if not found.is_file():
            raise InputError(
                "expected protocol as the path of a file, seen from the "
                f"study's, received: protocol={protocol!r}"
            )
        content["protocol"] = str(found.resolve())
    groups = _groups(content)
    methods = _tables(content)
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
            **hidden,
            "name": name,
            "methods": parsed,
            "overrides": _flatten(overrides),
        },
        hidden=("name", "overrides", *hidden),
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
