"""With what a result was made."""

import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = ("keras", "numpy", "tensorflow", "tensorflow-datasets")


def facts():
    """Returns versions of Python, of the libraries and of this code, and the
    processor."""
    import yoto_tf

    return {
        "yoto_tf": yoto_tf.__version__,
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "processor": processor(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def processor():
    """Returns the processor's name, and which of the instructions it has that
    matter most for networks."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(
        (part.strip() for part in line.split(":", 1))
        for line in reversed(lines)
        if ":" in line
    )
    name = found.get("model name") or platform.machine()
    flags = found.get("flags", "").split()
    has = [
        title
        for flag, title in (("avx512f", "AVX-512"), ("avx512_bf16", "bf16"))
        if flag in flags
    ]
    return " ".join(f"{name} {' '.join(has)}".split())


def peak_memory_mib(process="self"):
    """Returns the most memory that a process had at once, in MiB.

    Args:
        process: its number; this one.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        peak = next(x for x in lines if x.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    except (OSError, StopIteration):
        # On Linux that of the process which started this one counts here, if
        # it was larger.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def git_revision():
    """Returns the commit of this checkout, or None outside of one.

    An installed copy may lie inside the checkout of something else.
    """
    here = Path(__file__)
    try:
        git(here, "ls-files", "--error-unmatch", here.name)
        return git(here, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.SubprocessError):
        return None


def git(file, *words):
    """Returns what git says in the folder of a file.

    Raises:
        OSError, subprocess.SubprocessError: it cannot, or is not here.
    """
    return subprocess.run(
        ["git", *words],
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    ).stdout
