"""Rows of a table on the page: what is filled in, and back to inputs."""

import html

import numpy as np

from serving.client import InvalidRequest
from yoto_tf.families.fields import Field


def fields(facts):
    """dict, name of an input -> its `Field`s, numbered if they have no name."""
    found = {}
    for given, (name, shape) in zip(
        facts.view.inputs, facts.shapes, strict=True
    ):
        names = [f"{name} {i}" for i in range(shape[0])] if shape else [name]
        found[name] = given.fields or tuple(map(Field, names))
    return found


def boxes(facts, example):
    """What the control of the boxes is given: `columns`, a list of dicts."""
    return {
        "columns": [
            {
                "title": html.escape(field.title),
                "value": _written(value),
                "texts": [html.escape(text) for text in field.texts],
                "hint": _hint(field),
            }
            for field, value in _filled_in(facts, example)
        ]
    }


def first(facts):
    """A row to begin with, where there is none to choose."""
    given = [field.first for some in fields(facts).values() for field in some]
    return example(facts, {"columns": [{"value": value} for value in given]})


def example(facts, given):
    """The inputs that the boxes hold: dict, name -> array.

    Raises:
        InvalidRequest: for boxes without numbers.
    """
    known = fields(facts)
    every = [field for some in known.values() for field in some]
    try:
        values = [float(c["value"]) for c in given["columns"]]
        if not np.isfinite(values).all():
            raise ValueError(values)
        columns = [
            field.columns(value)
            for field, value in zip(every, values, strict=True)
        ]
    except (TypeError, KeyError, ValueError):
        raise InvalidRequest(
            f"expected a number for each of {[f.title for f in every]}, of a "
            f"text its place, received: {str(given)[:80]}"
        ) from None
    columns = iter(columns)
    return {
        name: np.concatenate([next(columns) for _ in known[name]]).reshape(
            shape
        )
        for name, shape in facts.shapes
    }


def holds(facts, given, values):
    """Whether the boxes hold these inputs, as far as they are written out."""
    typed = example(facts, given)
    return typed.keys() == values.keys() and all(
        np.allclose(typed[n], values[n], rtol=1e-5) for n in typed
    )


def label(facts, values):
    """A row in a few words, for the picker."""
    found = list(_filled_in(facts, values))
    shown = " · ".join(
        html.escape(field.texts[value]) if field.texts else _short(value)
        for field, value in found[:5]
    )
    return shown + (" · …" if len(found) > 5 else "")


def _filled_in(facts, example):
    """Yields `(field, value)`, of all inputs in their order."""
    for name, some in fields(facts).items():
        columns = np.ravel(example[name]).tolist()
        for field in some:
            yield field, field.value(columns[: field.num_columns])
            columns = columns[field.num_columns :]


def _written(value):
    """The shortest number that is the same to the model: what is not edited
    comes back as it was."""
    if float(value).is_integer():
        return int(value)
    return float(str(np.float32(value)))


def _short(value):
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


def _hint(field):
    if field.low is None or field.high is None:
        return ""
    return f"{field.low:,.6g} to {field.high:,.6g}"
