"""The base of the configuration classes: typed, checked at birth, strict.

Imports no TensorFlow, so that a command line answers at once.
"""

import dataclasses
import math
import types
import typing
from typing import Literal

import typeguard

from yoto_tf.errors import InputError
from yoto_tf.seeds import checked_seed

# Stands for None, which TOML does not have.
UNSET = "unset"


class Config:
    """Base of the configuration classes: checks types when it is born."""

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            try:
                typeguard.check_type(value, hints[f.name])
                if _has_bool(value) and not _admits_bool(hints[f.name]):
                    raise typeguard.TypeCheckError("to Python it is 0 or 1")
            except typeguard.TypeCheckError:
                raise InputError(
                    f"expected {f.name} to be {_describe(hints[f.name])}, "
                    f"received: {f.name}={value!r}"
                ) from None
            if any(
                isinstance(n, float) and not math.isfinite(n)
                for n in _flat(value)
            ):
                raise InputError(
                    f"expected {f.name} without NaN and infinity, "
                    f"received: {f.name}={value!r}"
                )
        self._check()

    def _check(self):
        """Raises InputError where the values do not fit together."""

    def _positive(self, *names):
        for name in names:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(
                    f"expected {name} to be above 0, received: {name}={value!r}"
                )

    def _not_negative(self, *names):
        for name in names:
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(
                    f"expected {name} to be 0 or more, "
                    f"received: {name}={value!r}"
                )

    def _seeds(self, *names):
        for name in names:
            checked_seed(getattr(self, name), name)

    def _points(self, name, low, high=math.inf):
        """Checks a number or (step, number) pairs with rising steps."""
        value = getattr(self, name)
        pairs = value if isinstance(value, tuple) else ((0, value),)
        steps = [step for step, _ in pairs]
        if not pairs or steps != sorted(set(steps)):
            raise InputError(
                f"expected {name} as a number or (step, value) pairs with "
                f"rising steps, received: {name}={value}"
            )
        if not all(low <= number <= high for _, number in pairs):
            limits = f"from {low:g} to {high:g}"
            if high == math.inf:
                limits = f"of {low:g} or more"
            raise InputError(
                f"expected {name} {limits}, received: {name}={value}"
            )

    def _without_effect(self, names, setting):
        """Refuses settings that change nothing beside another one."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        for name in names:
            value, default = getattr(self, name), defaults[name]
            if value != default:
                left = f"left at {default}" if default else "unset"
                raise InputError(
                    f"expected {name} {left} with {setting}, where it has no "
                    f"effect, received: {name}={value}"
                )

    def _of(self, name):
        return f"{name}={getattr(self, name)!r}"

    def to_dict(self):
        """Returns nested dicts, lists and numbers, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Builds the configuration from what `to_dict` returned.

        Raises:
            InputError: for an unknown key (the known ones are named), a
                missing dict or a value of the wrong type.
        """
        if not isinstance(values, dict):
            raise InputError(
                f"expected a mapping for {cls.__name__}, received: {values!r}"
            )
        hints = typing.get_type_hints(cls)
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise InputError(
                f"expected the keys of {cls.__name__} to be among "
                f"{sorted(hints)}, received: {unknown[0]!r}"
            )
        return cls(
            **{name: _from_json(v, hints[name]) for name, v in values.items()}
        )


def with_settings(config, settings):
    """Replaces settings by their dotted names.

    Args:
        config: a `Config`.
        settings: dict, dotted name as `"model.conditioning.kind"` -> value;
            `"unset"` stands for None, which TOML does not have.

    Raises:
        InputError: for an unknown name or a value that cannot be used.
    """
    values = config.to_dict()
    for dotted, value in settings.items():
        *groups, last = dotted.split(".")
        place = values
        for group in groups:
            place = place.get(group)
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last not in place:
            raise InputError(
                "expected a setting of training.train, as "
                f"training.epochs, received: {dotted!r}"
            )
        if isinstance(place[last], dict):
            raise InputError(
                f"expected a setting below {dotted}, received: {dotted!r}"
            )
        place[last] = None if value == UNSET else value
    return type(config).from_dict(values)


def differences(one, other):
    """Dotted names of the settings, two groups deep, that differ."""
    found = []
    for f in dataclasses.fields(one):
        mine, theirs = getattr(one, f.name), getattr(other, f.name)
        if mine == theirs:
            continue
        if isinstance(mine, Config):
            found += [
                f"{f.name}.{g.name}"
                for g in dataclasses.fields(mine)
                if getattr(mine, g.name) != getattr(theirs, g.name)
            ]
        else:
            found.append(f.name)
    return found


def _from_json(value, hint):
    """Undoes what JSON does to nested configurations and tuples."""
    if isinstance(hint, type) and issubclass(hint, Config):
        return hint.from_dict(value)
    if not isinstance(value, list | tuple):
        return value
    kinds = typing.get_args(hint)
    inner = kinds[0] if typing.get_origin(hint) is tuple else None
    return tuple(_from_json(v, inner) for v in value)


def _flat(value):
    """All that stands in nested tuples."""
    if isinstance(value, tuple):
        return [n for part in value for n in _flat(part)]
    return [value]


def _has_bool(value):
    return any(isinstance(part, bool) for part in _flat(value))


def _admits_bool(hint):
    return hint in (bool, object, typing.Any) or any(
        map(_admits_bool, typing.get_args(hint))
    )


def _describe(hint):
    """Says in words which values a type hint admits."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(repr(v) for v in typing.get_args(hint))
    if origin is tuple:
        return f"a list, each {_describe(typing.get_args(hint)[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(a) for a in typing.get_args(hint))
    if hint is type(None):
        return "None"
    names = {int: "a whole number", float: "a number", str: "a text"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))
