"""New versions of a served model: made aside, then renamed to the next
number. Published versions are never touched."""

import contextlib
import errno
import os
from pathlib import Path

from yoto_tf.contract import unfinished as made_aside
from yoto_tf.contract import versions
from yoto_tf.errors import InputError


@contextlib.contextmanager
def unfinished(base):
    """Yields a new folder among the versions that servers do not look at.

    When the block ends, however it does, what is left of it is removed.

    Args:
        base: the model's folder; made if it is missing.

    Raises:
        InputError: if `base` is a file, a version itself, or a folder that
            cannot be made or has the highest version that there can be.
    """
    base = Path(base)
    with contextlib.ExitStack() as stack:
        with _as_input_errors(base):
            _make(base)
            folder = stack.enter_context(made_aside.folder_in(base))
        yield folder


def _make(base):
    if base.exists() and not base.is_dir():
        raise InputError(
            f"expected --to to be a model's folder, received: {base}, a file"
        )
    if (base / "saved_model.pb").exists():
        raise InputError(
            "expected --to to be a model's folder, which holds its versions, "
            f"received: {base}, which is a version; did you mean {base.parent}?"
        )
    base.mkdir(parents=True, exist_ok=True)
    _next(base)  # before the work, too


@contextlib.contextmanager
def _as_input_errors(base):
    """Of a folder that cannot be made, but for a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            "expected a folder that can be made and written to, received: "
            f"{base} ({error.strerror})"
        ) from error


def publish(folder, base):
    """Renames a finished folder to the next version.

    Args:
        folder: of `unfinished`.
        base: the model's folder.

    Returns:
        Path of the version.

    Raises:
        InputError: there is no higher version.
    """
    base = Path(base)
    made_aside.write_through(folder)
    while True:
        target = base / str(_next(base))
        try:
            # Refuses a target that exists, unless it is an empty folder; a
            # version never is one. Two exporters thus get two numbers.
            os.rename(folder, target)
        except OSError:
            if not target.exists():
                raise
            continue
        made_aside.sync(base)
        return target


def _next(base):
    """One more than the largest number that servers take for a version.

    Raises:
        InputError: that is the highest.
    """
    found = versions.by_version(base.iterdir())
    newest = max([0, *found])
    if newest == versions.HIGHEST:
        raise InputError(
            "expected a model's folder in which a higher version can be, "
            f"received: {found[newest]}, the highest that servers take"
        )
    return newest + 1
