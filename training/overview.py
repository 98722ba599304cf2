"""What several studies say: `python -m training.overview FOLDER ...`."""

import sys
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Literal

import tyro

from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError


@dataclass(frozen=True)
class Arguments:
    """Print what studies that come with the project say: full loss of the
    first method that is told its loss parameters, less that of the best
    fixed weight of the same seed and point; and which form of fixed weights
    was best how often. Seeds of which runs are missing are left out. A study
    of further fixed weights alone is a row beside that of the study that it
    builds on, with the forms of both."""

    folders: tyro.conf.Positional[tuple[Path, ...]] = field(kw_only=True)
    """Of results.csv, each named like its study (training/studies)."""
    tables: tuple[Literal["losses", "forms", "changes"], ...] = (
        "losses",
        "forms",
    )
    """Which ones to print; changes: other models that are told their loss
    parameters, less the first."""


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parsed(Arguments, "python -m training.overview", argv)
    with reported_on_the_command_line():
        import_keras_quietly()
        from training.study import across

        studies = across.joined([across.Study(f) for f in arguments.folders])
        begun = [one.name for one in studies if not one.seeds]
        if begun:
            said = f"left out, no seed has all its runs: {', '.join(begun)}"
            print(said, file=sys.stderr)
        whole = [one for one in studies if one.seeds]
        if not whole:
            raise InputError(
                "expected the results of a study of which one seed or more "
                f"has all its runs, received: {', '.join(begun) or 'none'}"
            )
        print(across.overview(whole, arguments.tables))


if __name__ == "__main__":
    main()
