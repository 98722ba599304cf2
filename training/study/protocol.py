"""What was decided before the scores: a study's protocol and its own file.

Both are committed before the first run; the results name the commit, and runs
are refused under files that are not those of that commit. Without this one
could look at a score, move a setting, and report the better one.
"""

import json
import subprocess
from pathlib import Path

from yoto_tf import provenance
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

RECORD = "protocol.json"


def commit_of(spec, planned, folder, known=""):
    """Returns the commit of a study's protocol, recorded at its first run.

    Args:
        spec: `StudySpec`.
        planned: its runs.
        folder: where their directories lie.
        known: the commit that results of earlier runs name.

    Returns:
        The commit in which the protocol or the study's file changed last;
        empty for a study without a protocol, and where settings or the
        preset were replaced, which is not what it says.

    Raises:
        InputError: for files that are not committed, or that are others than
            those with which the runs were begun, and for runs that were begun
            without.
    """
    if not spec.protocol or spec.replaced:
        return ""
    paths = [Path(spec.protocol), *map(Path, spec.files)]
    for path in paths:
        if _git(path, "status", "--porcelain", "--", path.name):
            raise InputError(
                "expected a protocol and a study that are committed before "
                f"their runs, received: {path.name} with changes that are not"
            )
    record = Path(folder) / RECORD
    if record.exists():
        commit = json.loads(record.read_text())["commit"]
    else:
        _check_none_begun(planned, folder)
        commit = known or _last_commit(paths)
    for path in paths:
        if _git(path, "show", f"{commit}:./{path.name}") != path.read_text():
            raise InputError(
                "expected the protocol and the study with which the runs in "
                f"{folder} were begun (commit {commit[:7]}), received: "
                f"{path.name}, changed since"
            )
    if not record.exists():
        RunDirectory.write_json(record, {"commit": commit})
    return commit


def _check_none_begun(planned, folder):
    """By no protocol: one could have looked at what they score."""
    for one in planned:
        run = RunDirectory(Path(folder) / one.name)
        if run.config_file.exists():
            raise InputError(
                "expected no runs that were begun without the protocol "
                f"(--runs names another folder), received: {run.path}"
            )


def _last_commit(paths):
    words = "log", "-1", "--format=%H", "--", *map(str, paths)
    return _git(paths[0], *words).strip()


def _git(path, *words):
    try:
        return provenance.git(path, *words)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        raise InputError(
            f"expected a protocol in a git checkout, received: {path} "
            f"({' '.join(str(said).split())})"
        ) from error
