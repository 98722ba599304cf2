"""Markdown tables of a study's report."""

import math


def markdown(header, rows):
    """Formats a table; the first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(pair, form):
    """A mean and its deviation, which one seed does not have."""
    mean, deviation = pair
    if math.isnan(mean):
        return "—"
    text = format(mean, form)
    if math.isnan(deviation):
        return text
    return f"{text} ± {format(deviation, form.replace('+', ''))}"
