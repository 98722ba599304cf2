"""What was measured besides, as a Markdown table."""

import math

from training.metrics import parsed
from training.study.markdown import markdown
from training.study.markdown import number


def table(results, spec, columns):
    """Means over seeds of what `training.evaluate --metrics` measures, and
    what it is."""
    results = results[results.failure == ""]
    asked = parsed(spec.metrics, spec.model_family)
    notes = [
        f"- {', '.join(c.title for c in metric.columns if c in columns)}: "
        f"{metric.meaning}"
        + (f" (`{name}={asked[name]}`)" if asked.get(name) else "")
        for name, metric in spec.model_family.metrics.items()
        if any(c in columns for c in metric.columns)
    ]
    for column in columns:
        ceilings = results.get(f"{column.name}_ceiling")
        if ceilings is not None and ceilings.notna().any():
            notes.append(
                f"- {column.title} of so many images cannot exceed "
                f"{format(ceilings.max(), column.form)}; `>=`: it is a lower "
                "bound there"
            )
    notes.append(
        "- —: not measured there, or left out; in brackets how many seeds "
        "have a number where some have none"
    )
    rows = []
    for (method, width), of_method in results.groupby(
        ["method", "width"], sort=False
    ):
        for point in dict.fromkeys(of_method.point):
            at = of_method[of_method.point == point]
            label = spec.title(method)
            if results.width.nunique() > 1:
                label += f", {width}x"
            cells = [_spread_of(at, c) for c in columns]
            if set(cells) != {"—"}:
                rows.append([label, point.replace("=", " "), *cells])
    shown = markdown(["method", "at", *(c.title for c in columns)], rows)
    return "\n\n".join([shown, "\n".join(notes)])


def _spread_of(rows, column):
    found = rows[rows[column.name].notna()]
    values = found[column.name]
    if not len(found):
        return "—"
    deviation = values.std(ddof=1) if len(found) > 1 else math.nan
    text = number((values.mean(), deviation), column.form)
    bound = f"{column.name}_at_least"
    if bound in found and found[bound].any():
        text = f">= {text}"
    if len(found) < len(rows):
        text += f" ({len(found)} of {len(rows)})"
    return text
