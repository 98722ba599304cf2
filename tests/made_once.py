"""What takes seconds to make is made by one process and used by all."""

import fcntl
import functools
import os
import pathlib
import shutil
import tempfile

_VARIABLE = "YOTO_TF_TESTS_MADE_ONCE"
# The first process sets it; those that it starts have it from there.
_FIRST = _VARIABLE not in os.environ
if _FIRST:
    os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="made-once-")


def folder():
    """A folder that the processes of this session share."""
    return pathlib.Path(os.environ[_VARIABLE])


@functools.cache
def made_once(name, make):
    """Returns a folder that `make` has filled, in one of the processes.

    Args:
        name: of the folder, the same in all of them.
        make: called with its path; tests must not change what it writes.
    """
    path = folder() / name
    with open(folder() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder() / f"{name}.done"
        if not done.exists():
            # What another process left that died over it.
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            make(path)
            done.touch()
    return path


def remove():
    """Removes the folder, in the process that made it."""
    if _FIRST:
        shutil.rmtree(folder(), ignore_errors=True)
