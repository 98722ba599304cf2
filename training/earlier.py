"""What an earlier evaluation of a run took minutes to measure, beside new
scores of the same examples."""

import math

from training.metrics import ENDS
from yoto_tf import points
from yoto_tf.errors import InputError

# By which examples and model are known again.
_SAME = ("split", "test_fingerprint", "num_examples", "steps")


def kept(run, rows, facts, family, log):
    """Adds the metrics and the regrets of before, where they still stand.

    Args:
        run: `RunDirectory`, as it is before the new files are written.
        rows: of the new `curve.csv`, dicts.
        facts: of the new `evaluation.json`.
        family: `Family`.
        log: called with a sentence on what is kept or lost.

    Returns:
        `(rows, facts)`, with more in them.
    """
    try:
        old_rows = run.read_curve()
        old = run.read_evaluation()
    except (InputError, OSError, ValueError):
        return rows, facts
    measured = dict(facts.get("metrics", {}))
    same = all(old.get(n) == facts.get(n) for n in _SAME)
    if same:
        rows, measured = _without_cut_off(rows, measured, old, family, log)
    names = [
        n
        for n in old.get("metrics", {})
        if n in family.metrics and n not in measured
    ]
    if not same:
        if names:
            log(
                f"{', '.join(names)}: of other examples or of another model, "
                "and not kept"
            )
        return rows, facts
    if "regrets" in old:
        facts = {"regrets": old["regrets"], **facts}
    before = {_label(row, family): row for row in old_rows}
    for name in names:
        columns = [
            column.name + end
            for column in family.metrics[name].columns
            for end in ENDS
            if column.name + end in old_rows[0]
            and column.name + end not in rows[0]
        ]
        measured_at = {points.label(p) for p in old["metrics"][name]["points"]}
        there = measured_at & {_label(row, family) for row in rows}
        if not there or not columns:
            log(f"{name}: of other points, and not kept")
            continue
        kept_at = ", ".join(sorted(there))
        lost = ", ".join(sorted(measured_at - there))
        log(
            f"{name}: kept from before at {kept_at}"
            + (f"; not at {lost}, which is not scored any more" if lost else "")
        )
        rows = [
            row
            | {
                c: before.get(_label(row, family), {}).get(c, math.nan)
                for c in columns
            }
            for row in rows
        ]
        asked = [{n: row[n] for n in family.parameters} for row in rows]
        measured[name] = {
            **old["metrics"][name],
            "points": [p for p in asked if points.label(p) in there],
        }
    if measured:
        facts = {**facts, "metrics": {**old.get("metrics", {}), **measured}}
        for name in set(names) - set(measured):
            del facts["metrics"][name]
    return rows, facts


def _without_cut_off(rows, measured, old, family, log):
    """Leaves out what was to be measured again and was cut off, where it was
    measured at more of these points before."""
    asked = {_label(row, family) for row in rows}
    for name in [n for n in measured if n in family.metrics]:
        facts = measured[name]
        before = old.get("metrics", {}).get(name, {}).get("points", [])
        there = asked & {points.label(p) for p in before}
        if not facts.get("cut_off") or len(there) <= len(facts["points"]):
            continue
        log(f"{name}: cut off at {len(facts['points'])} points, and dropped")
        del measured[name]
        own = {c.name + e for c in family.metrics[name].columns for e in ENDS}
        own -= {c.name for c in family.columns}
        rows = [{n: v for n, v in row.items() if n not in own} for row in rows]
    return rows, measured


def _label(row, family):
    return points.label({n: row[n] for n in family.parameters})
