"""Lines on what a search does, and whether it has time left."""

from training.durations import duration
from training.search.directory import best
from training.search.directory import described
from training.search.settings import OBJECTIVES


class Progress:
    """Told by the oracle of every trial that begins and ends.

    Args:
        directory: `SearchDirectory`.
        search: its `Search`.
        plan: epochs of each trial to come, in order.
        log: called with a line.
    """

    def __init__(self, directory, search, plan, log=print):
        self.directory = directory
        self.search = search
        self.plan = plan
        self.log = log

    def time_is_up(self):
        """Whether the trials' time has reached the limit."""
        limit = self.search.time_limit
        return limit is not None and self._spent() >= 60 * limit

    def began(self, trial):
        """Says with which values a trial begins."""
        values = described(trial.hyperparameters.values)
        self.log(f"{self._place(trial)} begins: {values}")

    def ended(self, trial, workers):
        """Says how a trial ended and how long the rest will take."""
        outcome = self.directory.read_outcome(trial.trial_id)
        if outcome is None:
            # Ended before it could say why, as by a fault of this program.
            self.log(f"{self._place(trial)} failed: {trial.message}")
            return
        self.directory.write_results(self.search)
        left = f"{duration(self._left(max(workers, 1)))} left"
        took = duration(outcome.seconds)
        if outcome.status == "failed":
            self.log(
                f"{self._place(trial)} failed after {took}, {left}: "
                f"{outcome.error}"
            )
            return
        found = best(self.directory.outcomes(), self.search.objective)
        score = OBJECTIVES[self.search.objective][0]
        self.log(
            f"{self._place(trial)}: {score_text(getattr(outcome, score))}, "
            f"best {score_text(getattr(found, score))} (trial "
            f"{found.trial}); took {took}, {left}"
        )

    def _place(self, trial):
        number = int(trial.trial_id)
        return f"trial {number} ({number + 1} of {len(self.plan)})"

    def _spent(self):
        return sum(o.seconds for o in self.directory.outcomes())

    def _left(self, workers):
        spent = self._spent()
        ended = len(self.directory.outcomes())
        done = sum(self.plan[:ended])
        # More trials than planned: Hyperband's failed ones are not replaced.
        left = sum(self.plan[ended:]) * spent / done if done else 0.0
        if self.search.time_limit is not None:
            left = max(0.0, min(left, 60 * self.search.time_limit - spent))
        return left / workers


def score_text(number):
    """Formats a score: a loss, or an area that may be millions."""
    return f"{number:.4f}" if abs(number) < 1000 else f"{number:,.0f}"
