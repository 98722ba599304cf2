"""Whole-number tables of probabilities, by which symbols are coded.

A table has a count for each symbol from -n to n and a last one for all
others, the escape; counts are 1 or more and have the sum `TOTAL`. An escape
is followed by the symbol itself in `ESCAPE_BITS`.
"""

import functools
import math

import numpy as np

PRECISION = 24
TOTAL = 2**PRECISION
ESCAPE_BITS = 16
# What an escape can hold; analysis clips there.
MAX_SYMBOL = 2 ** (ESCAPE_BITS - 1) - 1

# Standard deviations that a latent may have: Minnen et al. (NeurIPS 2018) and
# CompressAI have the same 64, evenly in their logarithms.
NUM_SCALES = 64
LOWEST_SCALE, HIGHEST_SCALE = 0.11, 64.0
LOG_RATIO = math.log(HIGHEST_SCALE / LOWEST_SCALE) / (NUM_SCALES - 1)
SCALES = LOWEST_SCALE * np.exp(LOG_RATIO * np.arange(NUM_SCALES))
# Beyond so many deviations a symbol is an escape.
_DEVIATIONS = 5.5


def as_counts(probabilities):
    """Counts that are nearest to probabilities.

    Args:
        probabilities: `(..., n)` float64, of the symbols without the escape;
            their sum is 1 or a little less.

    Returns:
        `(..., n + 1)` int64, the escape last.
    """
    probabilities = np.asarray(probabilities, "float64")
    rest = np.maximum(1 - probabilities.sum(-1, keepdims=True), 0)
    counts = np.concatenate([probabilities, rest], -1) * TOTAL
    counts = np.maximum(np.rint(counts), 1).astype("int64")
    # The most frequent symbol pays for the others' roundings.
    most = counts.argmax(-1)[..., None]
    missing = TOTAL - counts.sum(-1, keepdims=True)
    paid = np.take_along_axis(counts, most, -1) + missing
    np.put_along_axis(counts, most, paid, -1)
    return counts


@functools.cache
def gaussian_counts():
    """One table for each of `SCALES`: of a Gaussian around 0, rounded to
    whole numbers. A tuple of int64 arrays of odd length plus one."""
    return tuple(as_counts(_gaussian(scale)) for scale in SCALES)


def _gaussian(scale):
    furthest = math.ceil(_DEVIATIONS * scale) + 1
    edges = (np.arange(furthest + 1) + 0.5) / (scale * math.sqrt(2))
    # What lies above each edge: small numbers keep their digits.
    above = np.array([math.erfc(edge) / 2 for edge in edges])
    upper = above[:-1] - above[1:]
    return np.concatenate([upper[::-1], [2 * (0.5 - above[0])], upper])


def bits_of(counts):
    """`(..., n)` float64: what each entry of tables costs, the 16 bits after
    an escape included."""
    bits = PRECISION - np.log2(counts)
    bits[..., -1] += ESCAPE_BITS
    return bits


def places(symbols, entries):
    """Where symbols stand in a table.

    Args:
        symbols: whole numbers, any shape.
        entries: length of the table.

    Returns:
        int32 array of the same shape; `entries - 1` is the escape.
    """
    furthest = (entries - 2) // 2
    inside = np.abs(symbols) <= furthest
    return np.where(inside, symbols + furthest, entries - 1).astype("int32")


@functools.cache
def gaussian_bits():
    """`(NUM_SCALES, 2 n + 2)` float64, n of the widest table: the cost of
    each symbol at each scale, `places` of all tables made one."""
    tables = [bits_of(c.astype("float64")) for c in gaussian_counts()]
    widest = max(map(len, tables))
    found = np.empty((len(tables), widest))
    for row, table in zip(found, tables, strict=True):
        margin = (widest - len(table)) // 2
        # Beyond its own table a symbol is an escape.
        row[:] = table[-1]
        row[margin : margin + len(table) - 1] = table[:-1]
    return found


def symbol_bits(symbols, indices):
    """Bits of symbols under the scales of their indices, float64, summed over
    all but the first axis."""
    table = gaussian_bits()
    bits = table[indices, places(symbols, table.shape[-1])]
    return bits.reshape(len(bits), -1).sum(-1)


def hyper_bits(symbols, counts):
    """As `symbol_bits`, of `(batch, h, w, channels)` hyper-latents under
    tables `(channels, n)`."""
    table = bits_of(counts.astype("float64"))
    where = places(symbols, table.shape[-1])
    bits = table[np.arange(table.shape[0]), where]
    return bits.reshape(len(bits), -1).sum(-1)
