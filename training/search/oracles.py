"""KerasTuner's oracles, made to survive a kill and to keep a time budget.

An oracle chooses the values of each trial. There is one per search: in the
only process, or in the chief of several.
"""

import time
import warnings
from concurrent import futures
from pathlib import Path

import grpc
import keras_tuner
import numpy as np
from keras_tuner.engine import trial as trials
from keras_tuner.src.distribute import oracle_chief
from keras_tuner.src.protos import get_service_grpc
from sklearn.exceptions import ConvergenceWarning

from training.search.settings import OBJECTIVES
from training.search.space import num_configurations
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory


class _Search:
    """What the three oracles share; mixed in before one of KerasTuner's.

    Attributes:
        progress: a `training.search.progress.Progress`, told of every trial
            that begins and ends, and asked whether time is left.
        failure: the `OSError` that kept the state from being saved, or None.
    """

    progress = None
    failure = None

    def populate_space(self, trial_id):
        if self.progress.time_is_up():
            return {"status": trials.TrialStatus.STOPPED, "values": None}
        return super().populate_space(trial_id)

    def _random_values(self):
        # The first trial is the configuration that the search starts from,
        # as far as its values are candidates: what others must beat.
        if not self.trials:
            return dict(self.hyperparameters.values)
        return super()._random_values()

    def create_trial(self, tuner_id):
        trial = super().create_trial(tuner_id)
        if trial.status == trials.TrialStatus.RUNNING:
            self.progress.began(trial)
        return trial

    def end_trial(self, trial):
        super().end_trial(trial)
        self.progress.ended(self.trials[trial.trial_id], len(self.tuner_ids))

    # Saved whole: KerasTuner writes in place, and a process killed while it
    # writes leaves half a file.

    def save(self):
        self._write(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial):
        folder = Path(self._get_trial_dir(trial.trial_id))
        self._write(folder / "trial.json", trial.get_state())

    def _write(self, path, content):
        try:
            RunDirectory.write_json(Path(path), content)
        except OSError as error:
            self.failure = error
            raise

    def reload(self):
        super().reload()
        # A trial whose file was written and that the oracle's own file does
        # not know never began: the oracle will propose it again.
        self.trials = {name: self.trials[name] for name in self.start_order}
        # KerasTuner forgets last that a trial runs, after it has saved.
        ended = (trials.TrialStatus.COMPLETED, trials.TrialStatus.FAILED)
        self._retry_queue = [
            name
            for name in self._retry_queue
            if self.trials[name].status not in ended
        ]
        # What is run again reports its scores again.
        for name in self._retry_queue:
            metrics = self.trials[name].metrics
            self.trials[name].metrics = type(metrics)()

    def plan(self, search):
        """Returns how many epochs each trial trains, in their order."""
        number = min(
            search.num_trials, num_configurations(self.hyperparameters)
        )
        return [search.epochs] * number


class RandomOracle(_Search, keras_tuner.oracles.RandomSearchOracle):
    """Independent draws, each configuration once."""


class BayesianOracle(_Search, keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process over the indices of the candidates."""

    def populate_space(self, trial_id):
        # KerasTuner does not save where its random numbers stand.
        self._random_state = np.random.RandomState(
            [self.seed, len(self.trials)]
        )
        # Every other fit warns of a length scale at its bound.
        with warnings.catch_warnings(category=ConvergenceWarning):
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = super().populate_space(trial_id)
        # Near its end the process proposes its favourite again and again;
        # the same seed would give the same score.
        if found["values"] and self._duplicate(found["values"]):
            return self._random_populate_space()
        return found


class HyperbandOracle(_Search, keras_tuner.oracles.HyperbandOracle):
    """Many short trials, the best of which are continued."""

    def set_state(self, state):
        # A search that goes on may be given more trials than it began with.
        asked = self.hyperband_iterations
        super().set_state(state)
        self.hyperband_iterations = asked

    def plan(self, search):
        once = []
        for bracket in reversed(range(self._get_num_brackets())):
            before = 0
            for step in range(self._get_num_rounds(bracket)):
                until = self._get_epochs(bracket, step)
                once += [until - before] * self._get_size(bracket, step)
                before = until
        if search.num_trials is None:
            return once
        return (once * -(-search.num_trials // len(once)))[: search.num_trials]


_ORACLES = {
    "random": RandomOracle,
    "bayesian": BayesianOracle,
    "hyperband": HyperbandOracle,
}


def make_oracle(search):
    """Builds the oracle of a `Search`; its `progress` is still to be set."""
    hyperparameters = search.space.hyperparameters(search.config)
    trials = search.num_trials
    more = {}
    if search.oracle == "hyperband":
        # Without a number of trials, one pass over its brackets.
        more = {
            "max_epochs": search.epochs,
            "hyperband_iterations": None if trials else 1,
        }
    if search.oracle == "bayesian":
        # KerasTuner's own number would leave short searches to chance.
        more = {
            "num_initial_points": max(
                3, min(trials // 3, 3 * len(hyperparameters.space))
            )
        }
    score, direction = OBJECTIVES[search.objective]
    oracle = _ORACLES[search.oracle](
        objective=keras_tuner.Objective(score, direction),
        hyperparameters=hyperparameters,
        allow_new_entries=False,
        tune_new_entries=False,
        # KerasTuner takes 0 for "draw one".
        seed=search.seed + 1,
        # It ends a search by an exception that leaves a chief hanging.
        max_consecutive_failed_trials=None,
        **more,
    )
    oracle.max_trials = trials
    oracle.verbose = 0
    return oracle


def serve(oracle, address):
    """Answers the workers of a search until the last of them is told to end.

    KerasTuner's own loop looks every 20 seconds, shares a taken port without
    a word, and may be gone before its last answer is.

    Args:
        oracle: of `make_oracle`, with its directory set.
        address: `"IP:PORT"`.

    Raises:
        InputError: if the address cannot be bound.
        OSError: if the oracle's state could not be saved.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=1),
        options=[("grpc.so_reuseport", 0)],
    )
    servicer = oracle_chief.OracleServicer(oracle)
    get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        raise InputError(
            "expected KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT to be "
            f"a free address of this machine, received: {address}"
        ) from None
    server.start()
    try:
        while not (servicer.stop_triggered and oracle_chief.exit_chief(oracle)):
            time.sleep(0.5)
    finally:
        server.stop(grace=5).wait()
