"""Runs whose directories are gone, and of which a study's own files tell.

Run directories are large and stay on the machine that trained them; results
are small and are committed. So a long study goes on elsewhere: under a
protocol, which does not let settings change, the rows of a run stand for it.
"""

from dataclasses import dataclass
from dataclasses import field

import numpy as np

from training.study import courses
from training.study import results
from training.study.runner import is_finished
from yoto_tf.errors import InputError

_DIVERGED = "diverged"


@dataclass(frozen=True)
class Kept:
    """What is known of runs without their directories.

    Attributes:
        rows: dict, name of a run -> its rows of `results.csv`, as dicts.
        courses: `DataFrame` of `training.study.courses`.
        failures: dict, name of a run that diverged -> how.
        protocol: the commit that the rows name; empty: there are none.
    """

    rows: dict = field(default_factory=dict)
    courses: object = None
    failures: dict = field(default_factory=dict)
    protocol: str = ""

    def __contains__(self, planned):
        return planned.name in self.rows or planned.name in self.failures

    def seconds(self, planned):
        """What the training of a run took, None if it has no rows."""
        rows = self.rows.get(planned.name)
        return rows[0]["train_seconds"] if rows else None

    def data(self, planned):
        """`{run: fingerprint}` of the data that runs were trained on."""
        names = [one.name for one in planned if one.name in self.rows]
        found = {name: self.rows[name][0]["data"] for name in names}
        return {name: known for name, known in found.items() if known}


def read(spec, planned, folder, to):
    """Reads the runs that are finished in the results alone.

    Args:
        spec: `StudySpec`.
        planned: its runs.
        folder: where run directories lie; what is finished there is not kept.
        to: directory of the results.

    Returns:
        `Kept`, empty for a study without a protocol, and where settings are
        replaced: of its rows nobody knows the settings.

    Raises:
        InputError: if the results cannot be read, or name two protocols.
    """
    path = to / results.FILE
    if not spec.protocol or spec.replaced or not path.exists():
        return Kept()
    table = results.read(path, spec.model_family)
    table = table[table.protocol != ""]
    commits = sorted(set(table.protocol))
    if len(commits) > 1:
        raise InputError(
            f"expected results by one protocol, received: {path} with rows "
            f"of {', '.join(c[:7] for c in commits)}"
        )
    rows, failures = {}, {}
    for one in planned:
        of_run = table[table.run == one.name]
        if not len(of_run) or is_finished(folder, one):
            continue
        reason = of_run.failure.iloc[0]
        if reason.startswith(_DIVERGED):
            # It would diverge again.
            failures[one.name] = reason
        elif not reason and _has_points(of_run, one.points):
            of_run = of_run.drop(columns="point")
            # What the run does not have; not what a point of it lacks.
            of_run = of_run.dropna(axis=1, how="all")
            rows[one.name] = of_run.to_dict("records")
    return Kept(
        rows,
        courses.read(spec, to / courses.FILE),
        failures,
        commits[0] if rows or failures else "",
    )


def check_none_lost(spec, planned, folder, to, log):
    """Refuses to write over rows of other runs, which nothing could make again.

    Args:
        spec, planned, folder, to: as of `read`.
        log: called with a sentence where they leave the results alone and
            their run directories stay.

    Raises:
        InputError: for rows by a protocol where this is not by it, and for
            rows of runs that this study does not have.
    """
    path = to / results.FILE
    if not path.exists():
        return
    table = results.read(path, spec.model_family)
    decided = sorted(set(table.protocol) - {""})
    if decided and (spec.replaced or not spec.protocol):
        raise InputError(
            "expected a folder of its own (--to) for what is not by the "
            f"protocol, received: {path} with rows by that of commit "
            f"{decided[0][:7]}"
        )
    others = sorted(set(table.run) - {one.name for one in planned})
    lost = [n for n in others if not (folder / n / "config.json").exists()]
    if lost:
        raise InputError(
            f"expected a folder of its own (--to) for {spec.name}, received: "
            f"{path} with rows of {len(lost)} runs that it does not have, as "
            f"{lost[0]}"
        )
    if others:
        log(
            f"no more in {path}: rows of {len(others)} runs that {spec.name} "
            f"does not have, as {others[0]}; their run directories stay"
        )


def _has_points(rows, planned):
    names = list(planned[0])
    asked = sorted(tuple(p[n] for n in names) for p in planned)
    there = sorted(map(tuple, rows[names].to_numpy()))
    if len(asked) != len(there):
        return False
    return np.allclose(asked, there, rtol=1e-6, atol=0)
