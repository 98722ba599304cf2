"""Git in a checkout of a test's own."""

import subprocess

_IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org")


def git(folder, *words):
    """What a command of git prints in a folder."""
    return subprocess.run(
        ["git", *_IDENTITY, *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
