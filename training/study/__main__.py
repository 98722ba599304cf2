"""Runs a study: `python -m training.study SPEC`."""

import sys
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Annotated

import tyro

from training.executors import options
from training.executors.options import ExecutorOptions
from training.study.plan import default_folder
from training.study.plan import planned_runs
from training.study.spec_file import load_spec
from yoto_tf.command_line import command
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError


@dataclass(frozen=True)
class Arguments(ExecutorOptions):
    """Train, score and compare all runs that a study declares.

    Finished runs are left alone and cut-off ones continued. Writes
    results.csv, report.md and the figures. Ends with code 1 if a run failed,
    3 if all that failed diverged.
    """

    spec: tyro.conf.Positional[str] = field(kw_only=True)
    """A study that comes with the project (training/studies), or the path of
    a TOML file."""
    to: Path | None = None
    """Where results, report and figures are written; unset:
    runs/studies/STUDY, or the folder of --runs."""
    runs: Path | None = None
    """Where the run directories lie; unset: runs/studies/STUDY/runs."""
    preset: str | None = None
    """Begin with this preset in place of the study's, and so with its data
    set."""
    set: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")
    ] = ()
    """Replace what the file says, in TOML: training.epochs=100 seeds=[0]."""
    jobs: int = 0
    """Runs at a time; 0: one per core, 8 at most; with ray and slurm all that
    there is room for."""
    dry_run: bool = False
    """Print the runs and their estimated cost; train nothing."""
    report_only: bool = False
    """Write report and figures of the results.csv that is there; train
    nothing."""


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parsed(Arguments, "python -m training.study", argv)
    with reported_on_the_command_line():
        spec = load_spec(arguments.spec, arguments.preset, arguments.set)
        planned = planned_runs(spec)
        if arguments.jobs < 0:
            raise InputError(
                f"expected jobs of 0 or more, received: jobs={arguments.jobs}"
            )
        options.check(arguments)
        runs = arguments.runs or default_folder(spec) / "runs"
        # Never over those of runs that lie elsewhere.
        to = arguments.to or arguments.runs or default_folder(spec)
        code = _run(arguments, spec, planned, runs, to)
    if code:
        raise SystemExit(code)


def _run(arguments, spec, planned, runs, to):
    from training.study import outcome
    from training.study import runner

    command = _command(arguments)
    if arguments.report_only:
        outcome.write_report(spec, planned, runs, to, command)
        return 0
    jobs, make_executor = arguments.jobs or runner.default_jobs(), None
    if arguments.executor != "local":
        jobs = arguments.jobs

        def make_executor(capacity):
            return options.on_cluster(
                arguments, Path(runs).resolve() / "slurm", jobs or None
            )

    runner.check_settings(runs, planned)
    if arguments.dry_run:
        from training.study import costs
        from training.study import kept

        import_keras_quietly()
        kept.check_none_lost(spec, planned, runs, to, print)
        known = kept.read(spec, planned, runs, to)
        costs.print_estimate(spec, planned, runs, jobs or len(planned), known)
        return 0
    failures = outcome.run_study(
        spec,
        planned,
        # Other machines, or processes of other folders, take the paths.
        Path(runs).resolve() if make_executor else runs,
        to,
        jobs,
        command,
        make_executor=make_executor,
    )
    return outcome.exit_code(failures)


def _command(arguments):
    """The command that makes these results, without what only says where."""
    words = [arguments.spec]
    if arguments.preset:
        words += ["--preset", arguments.preset]
    if arguments.set:
        words += ["--set", *arguments.set]
    return command("training.study", *words)


if __name__ == "__main__":
    main()
