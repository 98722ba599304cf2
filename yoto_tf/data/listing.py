"""Which files of a folder are its pictures."""

import collections
import os

from yoto_tf.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# Pictures to their owner, too, who is told that they are not read.
_OTHERS = (".avif", ".heic", ".heif", ".jfif", ".jp2", ".tif", ".tiff")

# What systems keep beside their owner's files: thumbnails, previews, bins.
# Those whose names begin with a dot are passed over whatever they are called.
_NOT_THE_OWNERS = {
    "#recycle",
    "$recycle.bin",
    "__macosx",
    "@eadir",
    "lost+found",
    "system volume information",
}


def picture_files(folder):
    """Lists the pictures below a folder that its owner sees.

    Hidden files and folders (`.ipynb_checkpoints`, `.git`, `._a.jpg`) and
    those that systems make (`__MACOSX`, `@eaDir`, bins) are passed over. Links
    are followed; a folder or file that is reached in two ways counts once.

    Args:
        folder: `Path` of an existing folder.

    Returns:
        list of `Path`, in the order of their names.

    Raises:
        InputError: if a folder in it cannot be read.
    """
    found = []
    seen = set()
    # What links lead to comes last: it may lie in the folder, too.
    for _, path, real in sorted(_walk(folder, SUFFIXES)):
        if real not in seen:
            seen.add(real)
            found.append(path)
    return sorted(found)


def passed_over(folder):
    """Sentences on pictures of kinds that are not read."""
    found = collections.Counter(
        path.suffix.lower() for _, path, _ in _walk(folder, _OTHERS)
    )
    return tuple(
        f"{num:,} pictures ending in {suffix} are passed over: "
        f"{', '.join(SUFFIXES)} are read"
        for suffix, num in sorted(found.items())
    )


def _walk(folder, suffixes):
    """Yields `(whether a link led there, path, path without links)` of every
    visible file that ends so; no folder is entered twice, so that loops
    end."""
    folders = collections.deque([(False, folder, os.path.realpath(folder))])
    entered = set()
    while folders:
        linked, place, real_place = folders.popleft()
        if real_place in entered:
            continue
        entered.add(real_place)
        for entry in _visible_entries(place):
            path = place / entry.name
            link = linked or entry.is_symlink()
            real = (
                os.path.realpath(path)
                if entry.is_symlink()
                else os.path.join(real_place, entry.name)
            )
            if entry.is_dir():
                if link:
                    folders.append((link, path, real))
                else:
                    folders.appendleft((link, path, real))
            elif path.suffix.lower() in suffixes and _may_be_read(entry):
                yield link, path, real


def _may_be_read(entry):
    # A link that leads nowhere is a picture that its owner misses: it is
    # named when it is opened. A pipe would be waited for without end.
    return entry.is_file() or (
        entry.is_symlink() and not os.path.exists(entry.path)
    )


def _visible_entries(place):
    try:
        with os.scandir(place) as entries:
            visible = [e for e in entries if not _is_hidden(e.name)]
    except OSError as error:
        raise InputError(
            "expected a folder of pictures that can be read, received: "
            f"{place} ({error.strerror})"
        ) from error
    return sorted(visible, key=lambda e: e.name)


def _is_hidden(name):
    return name.startswith(".") or name.casefold() in _NOT_THE_OWNERS
