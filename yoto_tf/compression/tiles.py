"""Large arrays in parts, each with as much around it as a network sees."""

import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of an array.

    Attributes:
        core: a pair of slices, rows and columns: the part itself.
        outer: the part with its margin, as far as the array goes.
        inner: where the core lies in the outer part.
    """

    core: tuple[slice, slice]
    outer: tuple[slice, slice]
    inner: tuple[slice, slice]


def tiles(height, width, core, margin):
    """Yields `Tile`s that cover an array, each cell once.

    Args:
        height, width: of the array.
        core: largest side of a part.
        margin: cells around it.
    """
    for pair in itertools.product(
        _parts(height, core, margin), _parts(width, core, margin)
    ):
        yield Tile(*(tuple(part[i] for part in pair) for i in range(3)))


def _parts(side, core, margin):
    for start in range(0, side, core):
        stop = min(start + core, side)
        first, last = max(start - margin, 0), min(stop + margin, side)
        yield (
            slice(start, stop),
            slice(first, last),
            slice(start - first, stop - first),
        )


def scaled(slices, factor):
    """Slices of an array whose sides are so many times as long."""
    return tuple(slice(s.start * factor, s.stop * factor) for s in slices)
