"""New versions of a served model: made aside, then renamed.

TF Serving takes every folder whose name is a whole number for a version, at
any moment, whole or not, and the largest for the newest. A version is
therefore made in a folder beside them whose name is no number, and renamed,
on the same filesystem, when it is complete and on the disk. Published
versions are never touched.
"""

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from pathlib import Path

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
        InputError: if `base` is a file, or a version itself.
    """
    base = Path(base)
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
    _remove_abandoned(base)
    folder = base / f"{_PREFIX}{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        # Held until the process ends, to tell it from an abandoned one.
        with _opened(folder) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder, base):
    """Renames a finished folder to the next version.

    Args:
        folder: of `unfinished`.
        base: the model's folder.

    Returns:
        Path of the version.
    """
    base = Path(base)
    _write_through(folder)
    while True:
        target = base / str(_newest(base) + 1)
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


def _newest(base):
    """The largest number that a server could take for a version, or 0."""
    names = (p.name for p in base.iterdir())
    numbers = [int(n) for n in names if n.isascii() and n.isdigit()]
    # Of an int64, one of which is left for the next.
    return max((n for n in numbers if n < 2**63 - 1), default=0)


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
