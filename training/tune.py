"""Searches for better settings: `python -m training.tune PRESET`.

Several processes share a search by KerasTuner's environment variables; see
docs/tuning.md.
"""

import contextlib
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from training import arguments
from training.executors.options import ExecutorOptions
from training.search import team
from training.search import workers
from training.search.directory import SearchDirectory
from training.search.directory import best
from training.search.settings import OBJECTIVES
from training.search.settings import Search
from training.search.settings import search_class
from training.search.space import num_configurations
from training.search.space import space_around
from training.strategies import end
from yoto_tf.command_line import command
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.run_directory import RunDirectory

# A search may be continued with more of these.
_BUDGET = ("trials", "time_limit")


@dataclass(frozen=True, kw_only=True)
class Arguments(ExecutorOptions):
    """Search for the settings with the lowest regret or the largest
    hypervolume on the validation examples."""

    search: Annotated[Search, tyro.conf.arg(name="")]
    tune: tuple[str, ...] = ()
    """Search these dimensions only; unset: all that have candidates."""
    run_dir: Path | None = None
    """Where to write the search; unset: runs/tune/PRESET."""
    resume: bool = False
    """Continue the search in run-dir, with the settings it has; --trials and
    --time-limit may be raised."""
    verbose: bool = False
    """Show the epochs of every trial."""
    workers: int = 0
    """Workers to start by the executor, which train at the same time while
    this process is their chief; 0: none, this process trains."""


def tune(search, run_dir, resume=False, verbose=0, log=print, preset=None):
    """Runs a search, or this process's part of one.

    Args:
        search: `Search`.
        run_dir: path of its directory, new unless `resume`.
        resume: continue where the search in it was cut off; `search` must
            then be its own but for its budget, and the data the same.
        verbose: of `keras.Model.fit`.
        log: called with a line on what happens.
        preset: name that `search.json` mentions.

    Returns:
        list of `Outcome`, one per trial.

    Raises:
        InputError: for settings, data or a directory that cannot be used.
        OSError: if a file cannot be written.
        TrainingDiverged: if no trial could be scored.
    """
    import grpc
    import keras_tuner

    from training.search import oracles
    from training.search import trials
    from training.search.progress import Progress

    role = workers.read_role()
    directory = SearchDirectory(run_dir)
    # A chief needs none, but prepares the data before its workers do so all
    # at once.
    splits = _load(search) if role.kind != "worker" else None
    if role.kind == "worker":
        log(f"{role.name} waits for the chief at {role.address}")
        workers.wait_for_chief(role)
        _check_same_search(search, directory)
        splits = _load(search)
        directory.data.require_same(splits)
    elif resume:
        _check_same_search(search, directory)
    else:
        directory.create(search, preset)
    with contextlib.ExitStack() as stack:
        oracle = oracles.make_oracle(search)
        if role.kind != "worker":
            stack.enter_context(RunDirectory(directory.path).locked())
            begun = directory.trials.is_dir()
            directory.data.begin_or_continue(splits, begun, log)
            directory.write_search(search)
            plan = oracle.plan(search)
            oracle.progress = Progress(directory, search, plan, log)
            log(
                f"{search.oracle} search of {len(plan)} trials among "
                f"{num_configurations(oracle.hyperparameters):,} "
                f"configurations, {sum(plan):,} epochs in all"
            )
        tuner = trials.TrialTuner(oracle, directory, search, splits, verbose)
        if role.kind == "chief":
            log(f"chief at {role.address}, waiting for workers")
            tuner.on_search_begin()
            oracles.serve(oracle, role.address)
            tuner.on_search_end()
        else:
            if role.kind == "worker":
                log(f"{role.name} works for the chief at {role.address}")
            try:
                tuner.search()
            except keras_tuner.errors.FatalError as error:
                raise error.__cause__ or error from None
            except grpc.RpcError as error:
                raise InputError(
                    f"expected the chief at {role.address} to answer until "
                    f"the search ends, received: {error.code().name} "
                    f"({error.details()})"
                ) from None
        outcomes = directory.outcomes()
        if role.kind != "worker":
            _finish(directory, search, outcomes)
    return outcomes


def _load(search):
    splits = search.family.load(search.config, parts=("train",))
    if len(splits.validation) < 2:
        raise InputError(
            f"expected validation {splits.noun} to score trials on, received: "
            f"{len(splits.validation)}; set --data.validation-examples"
        )
    return splits


def _check_same_search(search, directory):
    stored = directory.read_search()
    differing = [
        f.name
        for f in dataclasses.fields(stored)
        if f.name not in _BUDGET
        and getattr(search, f.name) != getattr(stored, f.name)
    ]
    if differing:
        raise InputError(
            f"expected the settings of {directory.search_file}, received: "
            f"other values of {', '.join(differing)}"
        )


def _finish(directory, search, outcomes):
    directory.write_results(search)
    if outcomes and not any(o.status == "completed" for o in outcomes):
        raise TrainingDiverged(
            f"none of {len(outcomes)} trials could be scored; the first: "
            f"{outcomes[0].error}"
        )


def table(outcomes, objective):
    """Formats outcomes as a Markdown table, the best first."""
    score, direction = OBJECTIVES[objective]
    searched = list(dict.fromkeys(n for o in outcomes for n in o.values))
    unit = next((o.unit for o in outcomes if o.unit), "mean loss")
    titles = [
        "trial",
        unit,
        "hypervolume",
        "epochs",
        "seconds",
        *(name.replace("_", " ") for name in searched),
    ]
    lines = [
        "| " + " | ".join(titles) + " |",
        "| " + " | ".join(["---:"] * len(titles)) + " |",
    ]
    sign = 1 if direction == "min" else -1
    failed = [o for o in outcomes if o.status == "failed"]
    for o in sorted(
        (o for o in outcomes if o.status == "completed"),
        key=lambda o: sign * getattr(o, score),
    ):
        area = "" if o.hypervolume is None else f"{o.hypervolume:,.0f}"
        lines.append(_row(o, [f"{o.mean_loss:.4f}", area], searched))
    lines += [_row(o, ["failed", ""], searched) for o in failed]
    return "\n".join(lines)


def _row(outcome, scores, searched):
    cells = [
        str(outcome.trial),
        *scores,
        str(outcome.epochs),
        f"{outcome.seconds:.0f}",
        *(outcome.values.get(name, "") for name in searched),
    ]
    return "| " + " | ".join(cells) + " |"


def parse(argv, stored=None):
    """Parses a command line.

    Args:
        argv: list of words.
        stored: `Search` that options change; None: that of what is named.

    Returns:
        `(name, Search of the defaults, Arguments)`.
    """
    name, default, given = arguments.parse(
        argv,
        "python -m training.tune",
        "Search for settings with the lowest regret or the largest "
        "hypervolume on the validation examples.",
        lambda config: _arguments(config, stored),
    )
    return name, default.search, given


def _arguments(config, stored):
    made = search_class(stored.config.family if stored else config.family)
    arguments = dataclasses.make_dataclass(
        "Arguments",
        [("search", Annotated[made, tyro.conf.arg(name="")])],
        bases=(Arguments,),
        frozen=True,
        kw_only=True,
    )
    search = stored or made(config=config, space=space_around(config))
    return arguments(search=search)


def _search_of(default, given):
    """The settings that a command line means."""
    search = given.search
    known = list(search.space.to_dict())
    for name in given.tune:
        if name not in known:
            raise InputError(
                f"expected --tune among {known}, received: {name!r}"
            )
    if not given.tune:
        return search
    for name in known:
        own, before = (getattr(s.space, name) for s in (search, default))
        if name not in given.tune and own != before:
            raise InputError(
                "expected candidates of what --tune names, which is "
                f"{', '.join(given.tune)}, received: --space.{name} "
                f"{' '.join(map(str, own))}"
            )
    return dataclasses.replace(search, space=search.space.only(given.tune))


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    with reported_on_the_command_line():
        name, default, given = parse(argv)
        directory = SearchDirectory(
            given.run_dir or Path("runs") / "tune" / name
        )
        role = workers.read_role()
        if given.resume:
            named = arguments.named(argv)
            begun_with = directory.read_preset()
            if named and begun_with and named != begun_with:
                raise InputError(
                    f"expected the search of {begun_with} that lies in "
                    f"{directory.path} to be resumed by that name, or by "
                    f"none, received: {named}"
                )
            # Options change what the search was begun with, and are refused
            # where they do.
            _, default, given = parse(argv, directory.read_search())
            name = Path(begun_with or name).stem
        search = _search_of(default, given)
        team.check(given)
        import_keras_quietly()
        workers_of = contextlib.nullcontext()
        if given.workers and role.kind == "alone":
            workers_of = team.Team(given, argv, directory, end)
        with workers_of:
            outcomes = tune(
                search,
                directory.path,
                given.resume,
                verbose=2 if given.verbose else 0,
                preset=arguments.named(argv) or name,
            )
        if role.kind == "worker":
            print(f"{role.name}: no more trials")
            return
        found = best(outcomes, search.objective)
        print()
        print(table(outcomes, search.objective))
        print(f"\nwritten to {directory.table_file}, {directory.figure_file}")
        print(f"best: trial {found.trial}: {found.described()}")
        words = (directory.best_file, "--run-dir", f"runs/{name}_tuned")
        print(f"next: {command('training.train', *words)}")


if __name__ == "__main__":
    main()
