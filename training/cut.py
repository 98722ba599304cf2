"""Cuts photographs into a folder of squares: `python -m training.cut`.

A dozen photographs so become a data set of thousands of small pictures,
which do not overlap. Neighbours of one photograph are alike: scores on it
compare methods, and say little of other photographs.
"""

import collections
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError


def squares(pixels, side):
    """The squares of a picture from its upper left corner, row by row; what
    is left at its right and lower edges is left out.

    Args:
        pixels: `(height, width, channels)`.
        side: of the squares in pixels.

    Returns:
        `(n, side, side, channels)`.
    """
    rows, columns = (s // side for s in pixels.shape[:2])
    whole = pixels[: rows * side, : columns * side]
    found = whole.reshape(rows, side, columns, side, pixels.shape[-1])
    return found.swapaxes(1, 2).reshape(-1, side, side, pixels.shape[-1])


def cut(pictures, to, side, grey=False):
    """Writes the squares of all pictures of a folder as PNG files.

    Args:
        pictures: the folder.
        to: a new folder.
        side: of the squares in pixels.
        grey: whether to drop the colours.

    Returns:
        How many were written.

    Raises:
        InputError: for a folder without pictures, one that is there, or
            pictures that are all smaller than a square.
    """
    from yoto_tf.compression.picture_files import read_picture
    from yoto_tf.data.listing import picture_files

    pictures, to = Path(pictures), Path(to)
    if side < 8:
        raise InputError(f"expected side of 8 or more, received: side={side}")
    if to.exists():
        raise InputError(f"expected a new folder, received: to={to}")
    files = picture_files(pictures) if pictures.is_dir() else []
    if not files:
        raise InputError(
            f"expected a folder of pictures, received: pictures={pictures}"
        )
    count, names = 0, collections.Counter()
    to.parent.mkdir(parents=True, exist_ok=True)
    # Aside until it is whole: a part of the squares would look like all.
    with tempfile.TemporaryDirectory(prefix=".cut-", dir=to.parent) as aside:
        made = Path(aside) / "squares"
        made.mkdir()
        for file in files:
            found = squares(read_picture(file, alpha="drop").rgb, side)
            # With its suffix: a.png and a.jpg are two pictures.
            name = "-".join(file.relative_to(pictures).parts).replace(".", "_")
            names[name] += 1
            if names[name] > 1:  # a/b.png beside a-b.png
                name += f"~{names[name]}"
            for number, square in enumerate(found):
                picture = Image.fromarray(np.ascontiguousarray(square))
                picture = picture.convert("L") if grey else picture
                picture.save(made / f"{name}-{number:05d}.png")
            count += len(found)
        if not count:
            raise InputError(
                f"expected pictures with sides of {side} or more, received: "
                f"pictures={pictures} with smaller ones alone"
            )
        made.rename(to)
    return count


@dataclass(frozen=True)
class Arguments:
    """Cut photographs into a folder of squares that do not overlap."""

    pictures: tyro.conf.Positional[Path]
    """A folder of photographs, with its sub-folders."""
    to: tyro.conf.Positional[Path]
    """A new folder, for the squares."""
    side: int = 32
    """Of a square, in pixels."""
    grey: bool = False
    """Without colours."""


def main(argv=None):
    arguments = parsed(Arguments, "python -m training.cut", argv)
    with reported_on_the_command_line():
        import_keras_quietly()
        count = cut(
            arguments.pictures, arguments.to, arguments.side, arguments.grey
        )
        print(f"{arguments.to}: {count:,} squares.")


if __name__ == "__main__":
    main()
