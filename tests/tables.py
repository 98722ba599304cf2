"""A table of one's own: a CSV file whose answers are known."""

import numpy as np
import pandas as pd


def write_table(folder, num=240, name="table.csv", **columns):
    """Two numbers and a text, `found` (rare, follows from them) and `count`;
    `columns` replaces or adds some."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, num))
    city = rng.choice(["ulm", "bern", "graz"], num)
    odds = np.exp(1.5 * a - 1 + (city == "bern"))
    frame = pd.DataFrame(
        {
            "a": a,
            "b": 100 + 20 * b,
            "city": city,
            "found": np.where(rng.random(num) < odds / (1 + odds), "y", "n"),
            "count": rng.poisson(np.exp(0.5 + 0.4 * b)),
        }
    ).assign(**columns)
    path = folder / name
    frame.to_csv(path, index=False)
    return path
