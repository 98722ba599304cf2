"""The only place that knows the file names of a run.

    RUN/config.json          the experiment, written first
    RUN/data.json            of which data, and how many examples
    RUN/trained_examples.npy a number for each example that was trained on
    RUN/checkpoints/         model and optimizer after an epoch, the last two
    RUN/log.csv              one row per epoch
    RUN/tensorboard/         scalars and pictures
    RUN/model.keras          the trained model
    RUN/curve.csv            scores, a row per value of the loss parameters
    RUN/evaluation.json      how the curve was measured, its hypervolume
    RUN/figures/             pictures
    RUN/output.txt           what a study's run printed
    RUN/examples.npz         of a released model: a few inputs of the test data
    RUN/divergence.json      why a study's run has no model
    RUN/between.csv          a study's further scores, for a line

Every file is written aside and renamed, so that a process killed at any
moment leaves the old one or the new one, whole.
"""

import contextlib
import csv
import fcntl
import io
import json
import re
from pathlib import Path

from yoto_tf.command_line import command
from yoto_tf.data_record import DataRecord
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_family
from yoto_tf.files import read_as
from yoto_tf.files import written_whole

_KEPT_CHECKPOINTS = 2


def read_experiment(path):
    """Reads the settings of a run's `config.json` or its like.

    Returns:
        Settings of the class that their family has.

    Raises:
        InputError: if there is no such file, or it is damaged or has keys
            that this version does not know.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            "expected a JSON file with a configuration, as a run's "
            f"config.json, received: {path}, which does not exist"
        )
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or "config" not in content:
            raise ValueError("it has no entry 'config'")
        values = content["config"]
        if not isinstance(values, dict) or "family" not in values:
            raise ValueError("it names no family")
        return get_family(values["family"]).read(values)
    except (ValueError, TypeError) as error:
        raise InputError(
            "expected a configuration as in a config.json of this version, "
            f"received: {path}, which cannot be used ({error})"
        ) from error


def require_new(path, kind, mend):
    """Refuses a path where something is already.

    Args:
        path: of the directory to be written.
        kind: what it should be, for the message.
        mend: what to do otherwise, for the message.

    Raises:
        InputError: if it exists and is not a directory that is empty, but for
            hidden files: one that was killed over its first has no other.
    """
    if path.exists() and (
        not path.is_dir()
        or any(not p.name.startswith(".") for p in path.iterdir())
    ):
        raise InputError(
            f"expected a new {kind}, received: {path}, which exists; {mend}"
        )


class RunDirectory:
    """The files of one training run.

    Args:
        path: of the directory.

    Attributes:
        data: `DataRecord` of the images it is trained on.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.data = DataRecord(self.path)
        self.config_file = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.log_file = self.path / "log.csv"
        self.tensorboard = self.path / "tensorboard"
        self.model_file = self.path / "model.keras"
        self.curve_file = self.path / "curve.csv"
        self.evaluation_file = self.path / "evaluation.json"
        self.figures = self.path / "figures"
        self.output_file = self.path / "output.txt"
        self.examples_file = self.path / "examples.npz"
        self.divergence_file = self.path / "divergence.json"
        self.between_file = self.path / "between.csv"

    def require_new(self):
        """Raises InputError if there is something at the path already."""
        require_new(
            self.path,
            "run directory",
            "choose another --run-dir or continue it with --resume",
        )

    def create(self, config, **facts):
        """Makes the directory and writes `config.json`.

        Args:
            config: the settings.
            **facts: further entries, as the versions of libraries.

        Raises:
            InputError: if it exists and is not empty.
        """
        self.require_new()
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_json(self.config_file, {"config": config.to_dict(), **facts})

    def read_config(self):
        """Returns the settings of the run.

        Raises:
            InputError: if this is no run directory, or a damaged one.
        """
        if not self.config_file.is_file():
            raise InputError(
                "expected a run directory written by training.train, "
                f"received: {self.path}, which has no config.json"
            )
        return read_experiment(self.config_file)

    def read_preset(self):
        """Returns the name of what the run was begun with, None if unknown."""
        self.read_config()
        return json.loads(self.config_file.read_text()).get("preset")

    def family(self):
        """Returns the `Family` of the run, as it is for its settings."""
        return family_for(self.read_config())

    @contextlib.contextmanager
    def locked(self):
        """Holds the run for this process; the lock ends with it."""
        with open(self.path / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    "expected a run that no other process is training, "
                    f"received: {self.path}"
                ) from None
            yield

    # Checkpoints.

    def save_checkpoint(self, model, epoch):
        """Saves `model` with its optimizer as of the end of `epoch` (counted
        from 1), and removes all but the last two, and what a process that was
        killed while it wrote has left."""
        for left in self.checkpoints.glob(".*.keras"):
            left.unlink()
        with written_whole(self.checkpoint_file(epoch)) as aside:
            model.save(aside)
        for old in self.checkpoint_epochs()[:-_KEPT_CHECKPOINTS]:
            self.checkpoint_file(old).unlink()

    def checkpoint_epochs(self):
        """Returns the epochs with a checkpoint, ascending."""
        names = (p.name for p in self.checkpoints.glob("epoch-*.keras"))
        matches = (re.fullmatch(r"epoch-(\d+)\.keras", n) for n in names)
        return sorted(int(m[1]) for m in matches if m)

    def load_checkpoint(self, warn=lambda sentence: None):
        """Loads the newest checkpoint that can be read.

        Args:
            warn: called with a sentence for every damaged one passed over.

        Returns:
            `(model, epoch)`; `(None, 0)` if the run has none yet.

        Raises:
            InputError: if there are checkpoints and all are damaged.
        """
        epochs = self.checkpoint_epochs()
        if epochs:
            self.family().register()
        for epoch in reversed(epochs):
            try:
                return self._loaded(self.checkpoint_file(epoch)), epoch
            except InputError as error:
                last_error = error
                warn(f"passing over a damaged checkpoint: {error}")
        if epochs:
            raise InputError(
                "expected a checkpoint that can be read in "
                f"{self.checkpoints}, received: {len(epochs)} damaged ones; "
                "remove them to begin the run again"
            ) from last_error
        return None, 0

    def checkpoint_file(self, epoch):
        """Returns the path of the checkpoint of an epoch."""
        return self.checkpoints / f"epoch-{epoch:04d}.keras"

    def save_model(self, model):
        """Writes the trained model, `model.keras`."""
        with written_whole(self.model_file) as aside:
            model.save(aside)

    def load_model(self):
        """Loads the trained model.

        Raises:
            InputError: if the run has none yet, or a damaged one.
        """
        self.family().register()
        if not self.model_file.is_file():
            raise InputError(
                "expected a run that was trained to its end, received: "
                f"{self.path}; continue it with: "
                + command("training.train", "--run-dir", self.path, "--resume")
            )
        return self._loaded(self.model_file)

    def _loaded(self, path):
        from yoto_tf.method import precision
        from yoto_tf.models import load_model

        # As the layers were made that do not say what they compute in.
        with precision.default_policy(self.read_config().training.dtype):
            return load_model(path)

    # Tables.

    def keep_log_until(self, epoch):
        """Drops the log's rows of `epoch` (counted from 0) and later ones,
        and a last row that was cut off."""
        if not self.log_file.exists():
            return
        with open(self.log_file, newline="") as file:
            header, *lines = file.readlines() or [""]
        # Names of several loss parameters have commas of their own.
        columns, *rows = csv.reader([header, *lines])
        kept = [
            line
            for line, row in zip(lines, rows, strict=True)
            if line.endswith("\n")
            and len(row) == len(columns)
            and int(row[0]) < epoch
        ]
        with written_whole(self.log_file) as aside:
            aside.write_text("".join([header, *kept]), newline="")

    def read_log(self):
        """Returns `log.csv` as dicts of numbers, none if there is none yet."""
        if not self.log_file.exists():
            return []
        # Keras writes NA for what it expected and did not get, as the
        # validation's scores where there is none.
        with read_as("a log.csv of training.train", self.log_file) as text:
            return [
                {k: float(v) for k, v in row.items() if v != "NA"}
                for row in csv.DictReader(io.StringIO(text))
            ]

    def read_evaluation(self):
        """Returns the dict of `evaluation.json`, of a run that has one."""
        with read_as("an evaluation.json", self.evaluation_file) as text:
            return {**json.loads(text)}

    @staticmethod
    def write_json(path, content):
        """Writes JSON, whole."""
        with written_whole(path) as aside:
            aside.write_text(json.dumps(content, indent=2) + "\n")

    @staticmethod
    def write_csv(path, rows):
        """Writes rows of a table, whole."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        with written_whole(path) as aside:
            aside.write_text(text.getvalue())

    def read_curve(self):
        """Returns `curve.csv` as a list of dicts of numbers.

        Raises:
            InputError: if the run was not evaluated or the file is damaged.
        """
        if not self.curve_file.is_file():
            raise InputError(
                "expected an evaluated run, received: "
                f"{self.path}; first run: "
                + command("training.evaluate", self.path)
            )
        family = self.family()
        needed = (*family.parameters, *(c.name for c in family.trade_off))
        what = "a curve.csv of training.evaluate"
        with read_as(what, self.curve_file) as text:
            rows = [
                {k: float(v) for k, v in row.items()}
                for row in csv.DictReader(io.StringIO(text))
            ]
            if not rows or not set(needed) <= set(rows[0]):
                raise ValueError("columns are missing")
        return rows
