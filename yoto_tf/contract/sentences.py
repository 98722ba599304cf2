"""Parts of sentences about values of loss parameters."""

import numpy as np


def number(value):
    """A number in as few digits, six or more, as tell it from every other
    float32: what is just past an end does not read as the end."""
    with np.errstate(over="ignore"):
        for digits in range(6, 9):
            text = f"{value:.{digits}g}"
            if np.float32(text) == np.float32(value):
                return text
    return f"{value:.9g}"
