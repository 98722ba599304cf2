"""One trial: train with the chosen values, score on validation images."""

import contextlib
import gc
import io
import math
import os
import shutil
import time
from pathlib import Path

import keras
import keras_tuner
import numpy as np
from keras_tuner.src import config as keras_tuner_config
from keras_tuner.src.engine import conditions

from training.evaluate import hypervolume_facts
from training.search.directory import Outcome
from training.search.settings import OBJECTIVES
from training.train import train
from yoto_tf import points
from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.files import written_whole
from yoto_tf.run_directory import RunDirectory

_WORST = 1e300  # which JSON has, as it has no infinity
# It prints the traceback of every failed trial; ours is a sentence.
keras_tuner_config.DEBUG = False
# KerasTuner 1.4.8 has a print left in what sends a condition to a worker.
conditions.print = lambda *_: None


class FatalDiskError(keras_tuner.errors.FatalError):
    """A file of a trial could not be written: the search cannot go on."""


class TrialTuner(keras_tuner.Tuner):
    """Runs the trials that an oracle proposes.

    Args:
        oracle: of `oracles.make_oracle`.
        directory: `SearchDirectory`.
        search: its `Search`.
        splits: `Splits` of `search.config`; None for a chief.
        verbose: of `keras.Model.fit`.
    """

    def __init__(self, oracle, directory, search, splits, verbose=0):
        self.search_directory = directory
        self.settings = search
        self.splits = splits
        self.fit_verbose = verbose
        # It prints which file it reads.
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                oracle,
                directory=str(directory.path),
                project_name=directory.oracle.name,
            )

    def _get_tuner_fname(self):
        # KerasTuner resumes where this file exists, and names it after the
        # process: a search begun alone would begin anew with workers.
        return str(Path(self.project_dir) / "tuner.json")

    def save(self):
        if not self._is_worker():
            self.oracle.save()
            RunDirectory.write_json(
                Path(self._get_tuner_fname()), self.get_state()
            )

    def on_search_begin(self):
        # Otherwise first after the first trial: one cut off before would
        # not be resumed.
        self.save()

    def pre_create_trial(self):
        # A worker that has to wait asks again at once.
        if self._is_worker():
            time.sleep(0.2)

    def run_trial(self, trial):
        """Trains and scores; returns the scores by name."""
        directory = self.search_directory
        with self._alone_on(trial):
            outcome = directory.read_outcome(trial.trial_id)
            if outcome is None:
                try:
                    outcome = self._outcome(trial)
                    directory.write_outcome(outcome)
                except OSError as error:
                    raise FatalDiskError(str(error)) from error
        score, direction = OBJECTIVES[self.settings.objective][:2]
        if outcome.status != "failed":
            return {score: getattr(outcome, score)}
        if self.settings.oracle != "hyperband":
            raise keras_tuner.errors.FailedTrialError(outcome.error)
        # KerasTuner continues the best of a round when more have a score than
        # are thrown out: without one, a failed trial would take the place of
        # one of the best.
        return {score: _WORST if direction == "min" else -_WORST}

    @contextlib.contextmanager
    def _alone_on(self, trial):
        # A chief that was started again hands out what a worker that outlived
        # it is still at: wait, and take over its outcome.
        folder = RunDirectory(self.get_trial_dir(trial.trial_id))
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(folder.locked())
                    break
                except InputError:
                    time.sleep(1)
            yield

    def _outcome(self, trial):
        values = trial.hyperparameters.values
        until = values.get("tuner/epochs", self.settings.epochs)
        started = time.monotonic()
        result = {}
        try:
            result = self._train_and_score(trial, until)
        except OSError:
            raise
        except Exception as error:
            # Whatever these values break must not end the search.
            result = {"status": "failed", "error": _sentence(error)}
            if os.environ.get("YOTO_TF_TRACEBACK") == "1":
                raise keras_tuner.errors.FatalError(str(error)) from error
        finally:
            keras.backend.clear_session()
            gc.collect()
        return Outcome(
            trial=int(trial.trial_id),
            values={k: v for k, v in values.items() if "/" not in k},
            epochs=until,
            seconds=round(time.monotonic() - started, 3),
            worker=self.tuner_id,
            **result,
        )

    def _train_and_score(self, trial, until):
        search = self.settings
        run = self.search_directory.run(trial.trial_id)
        config = trial_config(search, trial.hyperparameters.values)
        past = trial.hyperparameters.values.get("tuner/trial_id")
        if not run.config_file.exists():
            # A directory without config.json was cut off at its birth.
            shutil.rmtree(run.path, ignore_errors=True)
            run.create(config)
        if past is not None and not run.checkpoint_epochs():
            self._continue_from(past, run)
        model, _ = train(
            config,
            run.path,
            resume=True,
            verbose=self.fit_verbose,
            splits=self.splits,
            until_epoch=until,
            log=lambda sentence: None,
        )
        result = scores(search.family, model, self.splits.validation, config)
        run.model_file.unlink(missing_ok=True)
        if search.oracle != "hyperband":
            shutil.rmtree(run.checkpoints, ignore_errors=True)
        return {"status": "completed", **result}

    def _continue_from(self, past, run):
        """Gives a trial of Hyperband the checkpoint of the one it continues.

        Where that is gone, the trial trains from its start, to the same end.
        """
        source = self.search_directory.run(past)
        for epoch in source.checkpoint_epochs()[-1:]:
            name = f"epoch-{epoch:04d}.keras"
            with written_whole(run.checkpoints / name) as aside:
                shutil.copyfile(source.checkpoints / name, aside)

    def on_search_end(self):
        if not self._is_worker():
            self.remove_checkpoints()

    def remove_checkpoints(self):
        """Removes those that Hyperband no longer needs."""
        for folder in self.search_directory.trials.glob("*/checkpoints"):
            shutil.rmtree(folder)


def trial_config(search, values):
    """Returns the settings of a trial.

    Args:
        search: `Search`.
        values: dict, dimension -> chosen candidate as a text.
    """
    texts = {name: text for name, text in values.items() if "/" not in name}
    config = search.space.configured(search.config, texts).to_dict()
    config["training"] |= {"epochs": search.epochs, "steps": None}
    return type(search.config).from_dict(config)


def scores(family, model, examples, config):
    """Scores a model on the grid of its settings, where it was trained.

    Args:
        family: `Family`.
        model: of it.
        examples: of validation.
        config: its settings.

    Returns:
        dict: `mean_loss`, `unit`, `hypervolume`, `curve`, as of `Outcome`.

    Raises:
        ArithmeticError: if a score is NaN or infinite.
        InputError: if it was trained nowhere on the grid.
    """
    grid = family.grid(config)
    trained = [p for p in grid if model.loss_parameters.contains(p)]
    if not trained:
        raise InputError(
            "expected points to score at that are trained, received: "
            f"{', '.join(map(points.label, grid))}, for values "
            f"{model.loss_parameters!r}"
        )
    rows = family.score(model, examples, trained)
    shape = examples.shape[1:]
    factor, unit = family.scale(shape)
    name = family.objective.name
    for row in rows:
        if not math.isfinite(row[name]):
            at = points.label({n: row[n] for n in family.parameters})
            raise ArithmeticError(
                f"the {family.objective.title} at {at} is not finite"
            )
    costs = [[row[c.name] for c in family.trade_off] for row in rows]
    facts = hypervolume_facts(family, model, shape, costs)
    return {
        "mean_loss": factor * float(np.mean([row[name] for row in rows])),
        "unit": unit,
        "hypervolume": facts.get("hypervolume"),
        "curve": rows,
    }


def _sentence(error):
    """The first line of an error; its type too where it is a fault."""
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, (InputError, TrainingDiverged, ArithmeticError)):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}"
