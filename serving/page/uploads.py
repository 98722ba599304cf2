"""The folder of uploaded pictures, which never holds more than a limit."""

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import time
from pathlib import Path

_MAX_BYTES = 200_000_000
_MAX_FILES = 200
# An upload and the event that reads it lie seconds apart.
_SECONDS_IN_USE = 60.0


class Full(Exception):
    """There is no room for another upload; the message says until when."""


@functools.cache
def folder():
    """The folder of this process, made and told to Gradio at first use.

    Gradio asks the environment for it at every event, so that there is one
    for all pages of a process. Its own default is one for all programs of
    the machine that use Gradio.

    Returns:
        `UploadFolder`; deleted when the process ends.
    """
    given = os.environ.get("GRADIO_TEMP_DIR") or None
    if given:
        os.makedirs(given, exist_ok=True)
    path = os.path.realpath(tempfile.mkdtemp(prefix="yoto-page-", dir=given))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = path
    return UploadFolder(path)


class UploadFolder:
    """A folder whose oldest files make room for new ones.

    Args:
        path: absolute, without symbolic links.
        max_bytes, max_files: limits; `max_bytes` counts uploads under way.
        seconds_in_use: files this young are not deleted.
    """

    def __init__(
        self,
        path,
        max_bytes=_MAX_BYTES,
        max_files=_MAX_FILES,
        seconds_in_use=_SECONDS_IN_USE,
    ):
        self.path = Path(path)
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._seconds_in_use = seconds_in_use
        self._under_way = 0

    def holds(self, path):
        """Whether a value is the path of something inside."""
        if not isinstance(path, str):
            return False
        return self.path in Path(os.path.abspath(path)).parents

    @contextlib.contextmanager
    def room_for(self, size):
        """Keeps room for an upload until the block ends.

        Args:
            size: of its request, bytes.

        Raises:
            Full: even without the files that nobody uses any more.
        """
        self._make_room(size)
        self._under_way += size
        try:
            yield
        finally:
            self._under_way -= size

    def _make_room(self, size):
        files = sorted(self._files(), reverse=True)
        used = size + self._under_way + sum(size for _, size, _ in files)
        newest_old = time.time() - self._seconds_in_use
        while files and (
            used > self._max_bytes or len(files) >= self._max_files
        ):
            modified, file_size, path = files.pop()
            if modified > newest_old:
                break
            path.unlink(missing_ok=True)
            if path.parent != self.path:
                with contextlib.suppress(OSError):
                    path.parent.rmdir()  # of this upload alone
            used -= file_size
        else:
            if used <= self._max_bytes:
                return
        raise Full(
            "too many uploads at a time; try again in "
            f"{self._seconds_in_use:.0f} seconds"
        )

    def _files(self):
        for path in self.path.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.is_file():
                    yield status.st_mtime, status.st_size, path
