"""Files that are whole or not there at all."""

import contextlib
import os
import shutil
import uuid
from pathlib import Path

from yoto_tf.errors import InputError
from yoto_tf.errors import SaveError


def as_path(name, given):
    """The `Path` that a caller gave.

    Args:
        name: of the argument, for the sentence.
        given: a text or a path.

    Raises:
        InputError: for anything else, a text that names nothing included.
    """
    text = given if isinstance(given, str) else None
    if isinstance(given, os.PathLike):
        text = os.fspath(given)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"expected a path, received: {name}={given!r}")
    return Path(text)


@contextlib.contextmanager
def written_whole(path):
    """Yields a temporary path; renames it to `path` when the block ends well.

    The temporary path has the suffix of `path` and lies beside it. If the
    block fails it is removed, and what was at `path` stays.

    Raises:
        SaveError: if the file cannot be written.
    """
    # What a link leads to is written, and the link stays.
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise SaveError(
            f"expected a file to write, or none there, received: {path}, "
            "which is a folder, a device or a pipe"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield aside
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        if path.exists():
            # What others may not read stays so.
            shutil.copymode(path, aside)
        os.replace(aside, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(
            f"could not save {path} ({reason}); what was saved before is "
            "whole; make room and try again"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def read_as(what, path):
    """Yields a file's text; what cannot be read of it is one sentence.

    Args:
        what: the file should be, for the sentence.
        path: `Path` of it.

    Raises:
        InputError: where the file, or what is done with its text, fails.
    """
    try:
        yield path.read_text()
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"expected {what}, received: {path}, which cannot be read ({error})"
        ) from error
