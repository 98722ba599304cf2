"""A version of a served model while it is made.

Servers take every folder whose name is a whole number for a version, at
any moment, whole or not, and the largest for the newest. A version is
therefore made in a folder beside them whose name is no number, and renamed,
on the same filesystem, when it is complete and on the disk.
"""

import contextlib
import fcntl
import os
import shutil
import time
import uuid

_PREFIX = ".unfinished-"
# A folder of a killed exporter is removed by the next one, after so long.
_OLD_SECONDS = 60


@contextlib.contextmanager
def folder_in(base):
    """Yields a new folder among the versions that servers do not look at.

    When the block ends, however it does, what is left of it is removed.

    Args:
        base: `Path` of the model's folder, which is there.
    """
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


def write_through(folder):
    """Waits until all of a folder is on the disk."""
    for parent, _, files in os.walk(folder):
        for path in [*(os.path.join(parent, f) for f in files), parent]:
            sync(path)


def sync(path):
    """Waits until a file, or what a folder lists, is on the disk."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def _opened(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_abandoned(base):
    for folder in base.glob(f"{_PREFIX}*"):
        # Another exporter may rename or remove it at any moment.
        with contextlib.suppress(OSError), _opened(folder) as descriptor:
            if time.time() - os.fstat(descriptor).st_mtime > _OLD_SECONDS:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
