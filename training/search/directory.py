"""The only place that knows the file names of a search.

DIR/search.json          the settings, written first
DIR/data.json, DIR/trained_examples.npy  of which images
DIR/oracle/              KerasTuner's state, for resuming
DIR/trials/NNNN/         the run directory of a trial, without its models
DIR/trials/NNNN/outcome.json  its scores, or why it failed
DIR/trials.csv           all of these in a table
DIR/best_config.json     for training.train
DIR/figures/objective.png
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from training.search.settings import OBJECTIVES
from training.search.settings import label
from training.search.settings import search_class
from yoto_tf import provenance
from yoto_tf.data_record import DataRecord
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory
from yoto_tf.run_directory import require_new


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial ended.

    Attributes:
        trial: its number, from 0.
        status: `completed` or `failed`.
        values: dict, dimension -> chosen candidate as a text.
        epochs: of training, counted from the start of a continued trial.
        seconds: of training and scoring.
        worker: KerasTuner's ID of the process.
        mean_loss: the full loss, averaged over the grid; validation
            examples.
        unit: of it.
        hypervolume: up to the reference of `training.evaluate`; None for a
            family without one.
        error: one sentence, of a failed trial.
        curve: list of dicts, the scores at each point of the grid.
    """

    trial: int
    status: str
    values: dict
    epochs: int
    seconds: float
    worker: str
    mean_loss: float | None = None
    unit: str = ""
    hypervolume: float | None = None
    error: str | None = None
    curve: list = dataclasses.field(default_factory=list)

    def described(self):
        """Returns the values as `name=value name=value`."""
        return described(self.values)


def described(values):
    """Formats chosen values as `name=value name=value`."""
    return " ".join(f"{n}={values[n]}" for n in values)


class SearchDirectory:
    """The files of one search.

    Args:
        path: of the directory.

    Attributes:
        data: `DataRecord` of the images of all trials.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.data = DataRecord(self.path)
        self.search_file = self.path / "search.json"
        self.oracle = self.path / "oracle"
        self.trials = self.path / "trials"
        self.table_file = self.path / "trials.csv"
        self.best_file = self.path / "best_config.json"
        self.figure_file = self.path / "figures" / "objective.png"

    def create(self, search, preset=None):
        """Makes the directory and writes `search.json`.

        Args:
            search: `Search`.
            preset: what the command line named.

        Raises:
            InputError: if it exists and is not empty.
        """
        require_new(
            self.path,
            "directory",
            "choose another --run-dir or continue the search in it with "
            "--resume",
        )
        self.write_search(search, preset)

    def write_search(self, search, preset=None):
        """Writes `search.json`; `preset` None: that of before."""
        preset = preset or self.read_preset()
        named = {"preset": preset} if preset else {}
        RunDirectory.write_json(
            self.search_file,
            {"search": search.to_dict(), **named, **provenance.facts()},
        )

    def read_preset(self):
        """What the search was begun with, None if that is not known."""
        try:
            return json.loads(self.search_file.read_text()).get("preset")
        except (OSError, ValueError, AttributeError):
            return None

    def read_search(self):
        """Returns the `Search` of this directory.

        Raises:
            InputError: if this is no directory of a search, or a damaged one.
        """
        if not self.search_file.is_file():
            raise InputError(
                "expected a directory written by training.tune, received: "
                f"{self.path}, which has no search.json"
            )
        try:
            content = json.loads(self.search_file.read_text())
            values = content["search"]
            made = search_class(values["config"]["family"])
            return made.from_dict(values)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                "expected a search.json of this version, received: "
                f"{self.search_file}, which cannot be used ({error})"
            ) from error

    def run(self, trial):
        """Returns the `RunDirectory` of a trial."""
        return RunDirectory(self.trials / f"{int(trial):04d}")

    def write_outcome(self, outcome):
        """Writes `outcome.json` of a trial."""
        RunDirectory.write_json(
            self.run(outcome.trial).path / "outcome.json",
            dataclasses.asdict(outcome),
        )

    def read_outcome(self, trial):
        """Returns the `Outcome` of a trial, or None before it has ended."""
        path = self.run(trial).path / "outcome.json"
        if not path.is_file():
            return None
        try:
            return Outcome(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise InputError(
                "expected an outcome.json of this version, received: "
                f"{path}, which cannot be used ({error}); remove it to run "
                "the trial again"
            ) from error

    def outcomes(self):
        """Returns the `Outcome` of every trial that has ended, in order."""
        found = sorted(self.trials.glob("*/outcome.json"))
        return [self.read_outcome(path.parent.name) for path in found]

    def write_results(self, search):
        """Writes `trials.csv`, `best_config.json` and the figure.

        Returns:
            The best `Outcome`, or None while no trial was completed.
        """
        from training import figures
        from yoto_tf.files import written_whole

        outcomes = self.outcomes()
        columns = [f.name for f in dataclasses.fields(Outcome)]
        columns = [c for c in columns if c not in ("values", "curve")]
        names = search.space.to_dict()
        RunDirectory.write_csv(
            self.table_file,
            [
                [*columns, *names],
                *(
                    [getattr(o, c) for c in columns]
                    + [o.values.get(n) for n in names]
                    for o in outcomes
                ),
            ],
        )
        found = best(outcomes, search.objective)
        if not found:
            return None
        config = search.space.configured(search.config, found.values)
        RunDirectory.write_json(
            self.best_file,
            {
                "config": config.to_dict(),
                "trial": found.trial,
                "values": found.values,
                "mean_loss": found.mean_loss,
                "unit": found.unit,
                "hypervolume": found.hypervolume,
                "epochs_per_trial": found.epochs,
                **provenance.facts(),
            },
        )
        score, direction = OBJECTIVES[search.objective]
        with written_whole(self.figure_file) as aside:
            figures.save(
                figures.search_figure(
                    [(o.trial, getattr(o, score), o.epochs) for o in outcomes],
                    label(search.objective, search.family, found.unit),
                    direction,
                ),
                aside,
            )
        return found


def best(outcomes, objective):
    """Returns the completed `Outcome` with the best objective, or None."""
    score, direction = OBJECTIVES[objective]
    sign = 1 if direction == "min" else -1
    completed = [o for o in outcomes if o.status == "completed"]
    return min(completed, key=lambda o: sign * getattr(o, score), default=None)
