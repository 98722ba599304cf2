"""What a study shows while it runs: a line per run, and the time left."""

import statistics
import time

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress
from rich.progress import TextColumn

from training.durations import duration

_SECONDS_BETWEEN_LINES = 60


class StudyProgress:
    """On a terminal a bar for every run in work and for the whole; elsewhere
    a line when a run ends, and one a minute.

    Args:
        waiting: list of `PlannedRun` that are not finished.
        num_runs: of the whole study.
        jobs: runs at a time.
        costs: dict, kind of a run -> seconds, as far as known.
        console: a `rich.console.Console`; None: of standard output.
    """

    def __init__(self, waiting, num_runs, jobs, costs=(), console=None):
        self.runs = {one.name: one for one in waiting}
        self.num_runs = num_runs
        self.jobs = jobs
        self.known = dict(costs)
        self.measured = {}
        self.started = {}
        self.fractions = {}
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(30),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[left]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.tasks = {}

    def __enter__(self):
        self.begun = self.last_line = time.monotonic()
        self.total = len(self.runs)
        self.bars.start()
        self.whole = self.bars.add_task("all runs", total=self.total, left="")
        return self

    def __exit__(self, *error):
        self.bars.stop()

    def trained(self, name, fraction):
        """Notes that a run is so far, from 0 to 1, with its training."""
        if name not in self.runs:
            return
        if name not in self.started:
            # A resumed run begins in the middle.
            self.started[name] = time.monotonic(), fraction
            self.tasks[name] = self.bars.add_task(name, total=1.0, left="")
        self.fractions[name] = fraction
        self.bars.update(self.tasks[name], completed=fraction)

    def ended(self, planned, failure=None):
        """Notes that a run ended, and says so in a line."""
        begun, from_fraction = self.started.pop(
            planned.name, (time.monotonic(), 1.0)
        )
        seconds = time.monotonic() - begun
        self.runs.pop(planned.name)
        self.fractions.pop(planned.name, None)
        if planned.name in self.tasks:
            self.bars.remove_task(self.tasks.pop(planned.name))
        if failure is None and from_fraction < 0.5:
            whole = seconds / (1 - from_fraction)
            self.measured.setdefault(planned.kind, []).append(whole)
        done = self.num_runs - len(self.runs)
        what = failure or f"trained and scored in {duration(seconds)}"
        self.console.print(
            f"[{done}/{self.num_runs}] {planned.name}: {what}"
            + (f"; {self._left()}" if self.runs else ""),
            markup=False,
        )

    def tick(self):
        """Refreshes the times left."""
        for name, task in self.tasks.items():
            left = self._left_of(name)
            self.bars.update(
                task, left="" if left is None else f"{duration(left)} left"
            )
        self.bars.update(
            self.whole, completed=self.total - len(self.runs), left=self._left()
        )
        now = time.monotonic()
        if self.console.is_terminal or not self.fractions:
            return
        if now - self.last_line >= _SECONDS_BETWEEN_LINES:
            self.last_line = now
            runs = ", ".join(
                f"{n} {100 * f:.0f} %" for n, f in self.fractions.items()
            )
            self.console.print(f"{runs}; {self._left()}", markup=False)

    def _left_of(self, name):
        """Seconds that a run in work still needs, or None."""
        begun, from_fraction = self.started[name]
        done = self.fractions[name] - from_fraction
        if done < 0.02:
            return None
        passed = time.monotonic() - begun
        return passed * max(0.0, 1 - self.fractions[name]) / done

    def _left(self):
        seconds = self.seconds_left()
        if seconds is None:
            return "time left not known yet"
        return f"{duration(seconds)} left"

    def seconds_left(self):
        """Estimates the seconds until all runs have ended, None at first."""
        costs = {
            **self.known,
            **{k: statistics.mean(v) for k, v in self.measured.items()},
        }
        in_work, begun_now = [], []
        for name in self.started:
            left = self._left_of(name)
            if left is None:
                begun_now.append(name)
                continue
            in_work.append(left)
            begun, from_fraction = self.started[name]
            done = self.fractions[name] - from_fraction
            passed = time.monotonic() - begun
            costs.setdefault(self.runs[name].kind, passed / done)
        if not costs:
            return None
        typical = statistics.mean(costs.values())
        waiting = [
            costs.get(one.kind, typical)
            for name, one in self.runs.items()
            if name not in self.started or name in begun_now
        ]
        left = sum(in_work) + sum(waiting)
        return left / max(1, min(self.jobs, len(self.runs)))
