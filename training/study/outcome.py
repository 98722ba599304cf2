"""From a study's runs to its results, report and figures."""

from pathlib import Path

from training.metrics import columns_of
from training.study import between
from training.study import courses
from training.study import kept as kept_module
from training.study import protocol
from training.study import reached
from training.study import results
from training.study import runner
from training.study import tables
from training.study.costs import known_costs
from training.study.progress import StudyProgress
from yoto_tf import points
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole

REPORT = "report.md"
_BETWEEN = (
    " The line of a model that is told its loss parameter goes through "
    "further values that it was asked for."
)


def run_study(
    spec, planned, folder, to, jobs, command, log=print, make_executor=None
):
    """Takes a study to its end and writes what came of it.

    Args:
        spec: `StudySpec`.
        planned: its runs.
        folder: where their run directories lie.
        to: directory of results, report and figures.
        jobs: runs at a time; 0: all that there is room for.
        command: that the report mentions.
        log: called with sentences.
        make_executor: as of `runner.train_all`.

    Returns:
        dict, name of a run -> why it failed.
    """
    to = Path(to)
    kept_module.check_none_lost(spec, planned, folder, to, log)
    kept = kept_module.read(spec, planned, folder, to)
    waiting = [
        one
        for one in planned
        if one not in kept
        and not runner.is_finished(folder, one)
        and not runner.divergence(folder, one)
    ]
    log(
        f"{spec.name}: {len(planned)} runs, {len(planned) - len(waiting)} of "
        f"them finished; {jobs or 'all'} at a time; run directories in {folder}"
    )
    if kept.rows:
        log(
            f"by their rows in {to / results.FILE} alone, without run "
            f"directories: {len(kept.rows)} of the finished runs"
        )
    unknown = runner.without_record(folder, planned)
    if unknown:
        log(
            "runs with no record of their data, as those of earlier versions: "
            f"{len(unknown)}; whether it is the same is not known"
        )
    decided = protocol.commit_of(spec, planned, folder, kept.protocol)
    if decided:
        log(f"by the protocol of commit {decided[:7]}")
    elif spec.protocol:
        log("not by its protocol: settings are replaced")
    progress = StudyProgress(
        waiting,
        len(planned),
        jobs or len(waiting),
        known_costs(planned, folder, kept),
    )

    def write_results(failures):
        table = results.collect(spec, planned, folder, failures, decided, kept)
        results.write(table, to / results.FILE, spec.model_family)
        course = courses.collect(spec, planned, folder, kept)
        tables.write(course, to / courses.FILE)
        lines = between.collect(
            spec, planned, folder, between.read(spec, to / between.FILE)
        )
        tables.write(lines, to / between.FILE)

    # Rows of runs that ended are not lost with what ends the study, nor those
    # of which the last time wrote none any more.
    if len(waiting) < len(planned):
        write_results({})
    failures = runner.train_all(
        planned,
        folder,
        spec.preset,
        jobs,
        progress,
        make_executor,
        write_results,
        kept,
    )
    between.score(spec, planned, folder, log)
    write_results(failures)
    _log_not_trained(planned, folder, log)
    log(f"{to / results.FILE}: one row per method, width, seed and point")
    write_report(spec, planned, folder, to, command, log)
    return failures


def _log_not_trained(planned, folder, log):
    """Says what of the results nobody could ask a model for."""
    found = {}
    for one in planned:
        run = runner.run_directory(folder, one)
        if run.evaluation_file.exists():
            for point in run.read_evaluation().get("not_trained", ()):
                found.setdefault(points.label(point), []).append(one.name)
    for at, names in found.items():
        log(
            f"not trained at {at}: the scores of {', '.join(names)} there are "
            "extrapolations, and the models are not asked for pictures"
        )


def write_report(spec, planned, folder, to, command, log=print):
    """Writes report and figures of the `results.csv` in `to` (and of
    `courses.csv` and `between.csv`, where they are), and what comes of
    `courses.csv`: `reached.csv`.

    Reconstructions need the trained models: where they are not, a picture
    that is there stays.
    """
    to = Path(to)
    table = results.read(to / results.FILE, spec.model_family)
    # Not before the runs: their processes start meanwhile.
    import_keras_quietly()
    from training import figures as common_figures
    from training.study import comparison
    from training.study import figures
    from training.study import pictures
    from training.study import report

    family = spec.model_family
    across, up = family.trade_off
    loss = spec.model_family.objective.title
    if not table.point.isin(spec.labels()).any():
        there = ", ".join(dict.fromkeys(table.point)) or "none"
        raise InputError(
            f"expected results at {', '.join(spec.labels())}, received: "
            f"{to / results.FILE}, which has {there}"
        )
    further = between.read(spec, to / between.FILE)
    course = courses.read(spec, to / courses.FILE)
    found = None
    if course is not None:
        found = reached.collect(spec, planned, course)
        tables.write(found, to / reached.FILE)
    whole, missing = comparison.whole_seeds(table, planned), None
    waiting = comparison.waiting(table, planned)
    if waiting:
        missing = _missing(waiting, len(planned), whole)
    if waiting and whole:
        table, further, found = (
            part if part is None else part[part.seed.isin(whole)]
            for part in (table, further, found)
        )
    shown = {}
    drawn = []
    if (table.failure == "").any():
        drawn.append(
            (
                "trade_off.png",
                figures.curves_figure(table, spec, further),
                f"{up.title.capitalize()} against {across.title} on "
                f"{spec.scored_on}: Pareto fronts, means over seeds; open "
                "points are not on the front."
                + (_BETWEEN if further is not None else ""),
            )
        )
        drawn += [
            (
                f"{line.name}.png",
                figures.line_figure(table, spec, line),
                f"{line.meaning[:1].upper()}{line.meaning[1:]}. Means and "
                "standard deviations over seeds.",
            )
            for line in family.lines
        ]
        drawn.append(
            (
                "metrics.png",
                figures.metrics_figure(
                    table, spec, columns_of(table.to_dict("records"), family)
                ),
                "What was measured besides. Means and standard deviations "
                "over seeds, where all have a number; grey: what a score "
                "cannot exceed.",
            )
        )
        if spec.compares:
            drawn.append(
                (
                    "full_loss_difference.png",
                    figures.difference_figure(table, spec),
                    f"{loss.capitalize()} minus that of the "
                    f"{_best_of(spec.fixed_methods)}fixed-weight model of the "
                    "same point; below 0 the method wins. Bars: standard "
                    "deviation over seeds.",
                )
            )
    picture = "reconstructions.png"
    drawn.append(
        (
            picture,
            pictures.outputs_figure(planned, folder, spec),
            "Test images and their reconstructions.",
        )
    )
    for name, figure, meaning in drawn:
        if figure is not None:
            with written_whole(to / name) as aside:
                common_figures.save(figure, aside)
        if figure is not None or (to / name).exists():
            shown[name] = meaning
            log(f"{to / name}: {meaning}")
    with written_whole(to / REPORT) as aside:
        aside.write_text(
            report.report(table, spec, command, shown, found, missing)
        )
    log(f"{to / REPORT}: tables and figures")


def _missing(waiting, num_planned, whole):
    """The sentence of a study that is not at its end."""
    text = f"{len(waiting)} of {num_planned} runs have no results yet. "
    if not whole:
        return text + (
            "No seed has all of its own: what is compared with the best of "
            "several may be better or worse in the end, and means are over "
            "the seeds that are there."
        )
    seeds = ", ".join(str(s) for s in sorted({one.seed for one in waiting}))
    return text + f"Seeds without all of theirs are in no table: {seeds}."


def _best_of(methods):
    return {1: "", 2: "better "}.get(len(methods), "best ")


def exit_code(failures):
    """0 if no run failed, 3 if all that failed diverged, else 1."""
    if not failures:
        return 0
    diverged = [r.startswith("diverged") for r in failures.values()]
    return 3 if all(diverged) else 1
