"""Rows of a table on the page: number boxes, and back to inputs."""

import html

import numpy as np

from serving.client import InvalidRequest


def titles(facts):
    """Names of all columns, of all inputs in their order."""
    found = []
    for given, (name, shape) in zip(
        facts.view.inputs, facts.shapes, strict=True
    ):
        num = shape[0] if shape else 1
        numbered = [f"{name} {i}" for i in range(num)] if shape else [name]
        found += list(given.columns) or numbered
    return found


def boxes(facts, example):
    """What the control of the boxes is given: `columns`, a list of dicts."""
    values = np.concatenate(
        [np.ravel(example[name]) for name, _ in facts.shapes]
    )
    return {
        "columns": [
            {"title": html.escape(title), "value": float(f"{value:.6g}")}
            for title, value in zip(titles(facts), values, strict=True)
        ]
    }


def example(facts, given):
    """The inputs that the boxes hold: dict, name -> array.

    Raises:
        InvalidRequest: for boxes without numbers.
    """
    try:
        values = [float(c["value"]) for c in given["columns"]]
    except (TypeError, KeyError, ValueError):
        values = []
    sizes = [int(np.prod(shape)) for _, shape in facts.shapes]
    if len(values) != sum(sizes) or not np.isfinite(values).all():
        raise InvalidRequest(
            f"expected a number for each of {titles(facts)}, received: "
            f"{str(given)[:80]}"
        )
    parts = np.split(np.array(values, "float32"), np.cumsum(sizes)[:-1])
    return {
        name: part.reshape(shape)
        for (name, shape), part in zip(facts.shapes, parts, strict=True)
    }


def holds(facts, given, values):
    """Whether the boxes hold these inputs, as far as they are written out."""
    typed = example(facts, given)
    return all(np.allclose(typed[n], values[n], rtol=1e-5) for n in typed)


def label(facts, values):
    """A row in a few words, for the picker."""
    numbers = np.concatenate([np.ravel(values[n]) for n, _ in facts.shapes])
    shown = " · ".join(f"{v:.3g}" for v in numbers[:5])
    return shown + (" · …" if len(numbers) > 5 else "")
