"""New versions of a served model: made aside, then renamed.

Servers take every folder whose name is a whole number for a version, at
any moment, whole or not, and the largest for the newest. A version is
therefore made in a folder beside them whose name is no number, and renamed,
on the same filesystem, when it is complete and on the disk. Published
versions are never touched.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import time
import uuid
from pathlib import Path

from yoto_tf.contract import versions
from yoto_tf.errors import InputError

_PREFIX = ".unfinished-"
# A folder of a killed exporter is removed by the next one, after so long.
_OLD_SECONDS = 60


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
    with _as_input_errors(base):
        folder = _made(base)
    try:
        # Held until the process ends, to tell it from an abandoned one.
        with _opened(folder) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(base):
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
    _remove_abandoned(base)
    folder = base / f"{_PREFIX}{uuid.uuid4().hex}"
    folder.mkdir()
    return folder


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
    _write_through(folder)
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
        with _opened(base) as descriptor:
            os.fsync(descriptor)
        return target


def _next(base):
    """One more than the largest number that servers take for a version.

    Raises:
        InputError: that is the highest.
    """
    found = {versions.parse_version(p.name): p for p in base.iterdir()}
    newest = max([0, *filter(None, found)])
    if newest == versions.HIGHEST:
        raise InputError(
            "expected a model's folder in which a higher version can be, "
            f"received: {found[newest]}, the highest that servers take"
        )
    return newest + 1


def _write_through(folder):
    """Waits until all of a folder is on the disk."""
    for parent, _, files in os.walk(folder):
        for path in [*(os.path.join(parent, f) for f in files), parent]:
            with _opened(path) as descriptor:
                os.fsync(descriptor)


def _remove_abandoned(base):
    for folder in base.glob(f"{_PREFIX}*"):
        # Another exporter may rename or remove it at any moment.
        with contextlib.suppress(OSError), _opened(folder) as descriptor:
            if time.time() - os.fstat(descriptor).st_mtime > _OLD_SECONDS:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _opened(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
