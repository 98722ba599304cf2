"""The search: its scores, its resumption, its workers, what it hands over."""

import contextlib
import csv
import dataclasses
import json
import math
import os
import pathlib
import signal
import socket
import subprocess
import sys

import moocore
import numpy as np
import pytest
from waiting import OF_PROCESS
from waiting import happens

from training import figures
from training import train as train_module
from training import tune as tune_module
from training.search.directory import SearchDirectory
from training.search.directory import best
from training.search.settings import search_class
from training.search.space import num_configurations
from training.search.space import space_around
from training.search.space import space_class
from training.search.workers import Role
from training.search.workers import read_role
from training.tune import tune
from yoto_tf.data import Splits
from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.families.vae.presets import PRESETS
from yoto_tf.run_directory import RunDirectory
from yoto_tf.strict_config import with_settings

Search, SearchSpace = search_class("vae"), space_class("vae")
ROOT = pathlib.Path(__file__).parents[2]

# The preset's own, another, and one that diverges in its first step.
_RATES = ("0.003", "0.001", "1e+30")
_COMMAND = [
    *("--tune", "learning_rate", "--space.learning-rate", *_RATES),
    *("--oracle", "random", "--epochs", "1", "--trials", "3"),
]


def _quiet(sentence):
    pass


@pytest.fixture(scope="module")
def search(smoke_config):
    return Search(
        config=smoke_config,
        space=SearchSpace(learning_rate=tuple(map(float, _RATES))),
        oracle="random",
        epochs=1,
        trials=3,
    )


@pytest.fixture(scope="module")
def finished(search, tmp_path_factory):
    """A finished search and the lines it logged; tests must not change it."""
    directory = SearchDirectory(tmp_path_factory.mktemp("tune") / "search")
    lines = []
    tune(search, directory.path, log=lines.append)
    return directory, lines


def _scores(directory):
    """What a search found, without what differs from run to run."""
    return {
        o.values["learning_rate"]: (o.status, o.mean_loss)
        for o in directory.outcomes()
    }


# The real thing.


def test_every_candidate_is_tried_and_the_diverging_one_is_recorded(finished):
    directory, lines = finished
    outcomes = directory.outcomes()
    assert [o.trial for o in outcomes] == [0, 1, 2]
    # The first trial is what the search starts from.
    assert outcomes[0].values == {"learning_rate": "0.003"}
    failed = next(o for o in outcomes if o.status == "failed")
    assert failed.values == {"learning_rate": "1e+30"}
    assert "stopped being finite in epoch 1, step" in failed.error
    assert sum(o.status == "completed" for o in outcomes) == 2
    ended = [line for line in lines if " left" in line]
    assert len(ended) == 3
    assert sum("failed after" in line for line in ended) == 1
    assert "0 s left" in ended[-1]


def test_what_is_left_of_a_trial_is_small_and_in_a_table(finished):
    directory, _ = finished
    assert list(directory.trials.rglob("*.keras")) == []
    with open(directory.table_file, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["learning_rate"] for row in rows] == [
        o.values["learning_rate"] for o in directory.outcomes()
    ]
    assert directory.figure_file.stat().st_size > 10_000
    table = tune_module.table(directory.outcomes(), "regret").splitlines()
    first = best(directory.outcomes(), "regret")
    assert table[2].startswith(f"| {first.trial} | {first.mean_loss:.4f} |")
    assert "| failed |" in table[-1]


@pytest.mark.slow
def test_the_best_configuration_is_trained_to_the_score_of_its_trial(
    finished, smoke_config, tmp_path
):
    """`training.train` takes the file; the score is worked out anew here."""
    from yoto_tf.data import load_images

    directory, _ = finished
    train_module.main(
        [
            str(directory.best_file),
            *("--training.epochs", "1"),
            *("--run-dir", str(tmp_path / "run")),
        ]
    )
    run = RunDirectory(tmp_path / "run")
    found = best(directory.outcomes(), "regret")
    config = run.read_config()
    assert config.optimizer.learning_rate == float(
        found.values["learning_rate"]
    )
    # All but what was searched and overridden is the preset's.
    stored = json.loads(directory.best_file.read_text())["config"]
    stored["optimizer"]["learning_rate"] = 0.003
    assert type(config).from_dict(stored) == smoke_config

    model = run.load_model()
    images = load_images(config.data).validation
    noise = np.random.default_rng(0).standard_normal(
        (len(images), 4), dtype="float32"
    )
    bits, points = [], []
    for beta in (1.0, 16.0, 256.0):
        outputs = model(
            images.astype("float32") / 255,
            loss_parameters={"beta": beta},
            noise=noise,
        )
        rate, distortion = np.mean(outputs["rate"]), outputs["distortion"]
        distortion = np.mean(distortion)
        points.append([rate, distortion])
        bits.append((distortion + beta * rate) / (3072 * math.log(2)))
    assert found.mean_loss == pytest.approx(np.mean(bits), rel=1e-5)
    # Up to 1 bit per value of rate, and the blank image's distortion, which
    # is 1 bit per value too for a Bernoulli likelihood.
    corner = [3072 * math.log(2)] * 2
    area = moocore.hypervolume(np.array(points, "float64"), ref=corner)
    assert found.hypervolume == pytest.approx(area, rel=1e-3)


def _command(run_dir, data_dir, *more):
    return [
        *(sys.executable, "-m", "training.tune", "smoke"),
        *("--run-dir", str(run_dir), "--data.data-dir", str(data_dir)),
        *more,
    ]


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_stopped(finished, data_dir, tmp_path):
    directory = SearchDirectory(tmp_path / "search")
    process = subprocess.Popen(
        _command(directory.path, data_dir, *_COMMAND),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    begun = directory.run(1).config_file
    happens(begun.exists, OF_PROCESS)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = (directory.run(0).path / "outcome.json").read_bytes()
    assert directory.read_outcome(1) is None
    # Without its settings: they are those it was begun with.
    resumed = subprocess.run(
        _command(directory.path, data_dir, "--resume")[:6] + ["--resume"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr == ""
    assert (directory.run(0).path / "outcome.json").read_bytes() == before
    assert _scores(directory) == _scores(finished[0])
    assert "trial 0 (" not in resumed.stdout
    assert f"training.train {directory.best_file}" in resumed.stdout


@contextlib.contextmanager
def _process(name, port, command):
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(port),
        },
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.slow
def test_two_workers_share_a_search(finished, data_dir, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    directory = SearchDirectory(tmp_path / "search")
    rates = (*_RATES, "0.002", "0.0005")
    command = _command(
        directory.path,
        data_dir,
        *("--tune", "learning_rate", "--space.learning-rate", *rates),
        *("--oracle", "random", "--epochs", "1", "--trials", "5"),
    )
    with (
        _process("chief", port, command) as chief,
        _process("first", port, command) as first,
        _process("second", port, command) as second,
    ):
        # However slowly one of them starts, the other leaves it trials.
        assert "waits for the chief" in first.stdout.readline()
        assert "waits for the chief" in second.stdout.readline()
        assert "works for the chief" in first.stdout.readline()
        first.send_signal(signal.SIGSTOP)
        assert "works for the chief" in second.stdout.readline()
        first.send_signal(signal.SIGCONT)
        said = {
            p: p.communicate(timeout=OF_PROCESS) for p in (chief, first, second)
        }
        for process, (_, errors) in said.items():
            assert (process.returncode, errors) == (0, "")
    outcomes = directory.outcomes()
    assert {o.worker for o in outcomes} == {"first", "second"}
    found = _scores(directory)
    assert set(found) == set(rates)
    # Who trains makes no difference.
    assert {r: found[r] for r in _RATES} == _scores(finished[0])
    assert "best: trial" in said[chief][0]
    assert said[first][0] == "first: no more trials\n"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray", "slurm"])
def test_workers_of_an_executor_share_a_search(
    executor, finished, data_dir, tmp_path
):
    module = {"local": "pebble", "ray": "ray", "slurm": "submitit"}[executor]
    pytest.importorskip(module, reason=f"needs {module}")
    directory = SearchDirectory(tmp_path / "search")
    more = ("--executor", executor, "--workers", "2")
    if executor == "slurm":
        more += ("--slurm", "cluster=local")
    done = subprocess.run(
        _command(directory.path, data_dir, *_COMMAND, *more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "chief at 127.0.0.1" in done.stdout
    assert "best: trial" in done.stdout
    expected, found = _scores(finished[0]), _scores(directory)
    assert sorted(found) == sorted(expected)
    for rate, (status, loss) in expected.items():
        assert found[rate][0] == status
        # With other threads, which round in another order.
        assert found[rate][1] == (loss and pytest.approx(loss, rel=1e-5))
    assert {o.worker for o in directory.outcomes()} <= {"worker0", "worker1"}
    for name in ("worker0", "worker1"):
        said = (directory.path / f"{name}.txt").read_text()
        assert "works for the chief" in said


@pytest.mark.slow
def test_a_search_whose_workers_all_fail_ends(data_dir, tmp_path):
    command = _command(tmp_path / "search", data_dir, *_COMMAND)
    # What no worker can begin with.
    code = (
        "import sys; from training import tune; from training.search import "
        "team; team.work = divmod; tune.main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command[3:], "--workers", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=OF_PROCESS,
    )
    assert done.returncode == 1
    assert "error: expected workers that train until the search" in done.stderr


def test_workers_without_an_executor_and_the_reverse_are_refused(capsys):
    for words, said in (
        (["--workers", "-1"], "--workers of 0 or more"),
        (["--executor", "ray"], "--workers of 1 or more"),
        (["--cpus", "3"], "--executor ray or slurm with --cpus"),
    ):
        with pytest.raises(SystemExit) as raised:
            tune_module.main(["smoke", *words])
        assert raised.value.code == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_hyperband_continues_its_best_short_trials(search, tmp_path):
    hyperband = dataclasses.replace(
        search,
        space=SearchSpace(learning_rate=(3e-3, 1e-3, 3e-4)),
        oracle="hyperband",
        epochs=3,
        trials=4,
    )
    directory = SearchDirectory(tmp_path / "search")
    outcomes = tune(hyperband, directory.path, log=_quiet)
    assert [o.epochs for o in outcomes] == [1, 1, 1, 3]
    assert outcomes[3].values == best(outcomes[:3], "regret").values
    with open(directory.run(3).log_file, newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert list(directory.trials.rglob("*.keras")) == []


# The machinery, with scores that take no training.


@pytest.fixture
def scored_at_once(monkeypatch):
    """Replaces training by a formula; counts the trials that ask for it."""
    from training.search import trials

    asked = []

    def score(self, trial, until):
        values = trial.hyperparameters.values
        asked.append(int(trial.trial_id))
        if values.get("kind") == "gate":
            raise RuntimeError("no gates today\nat all")
        loss = abs(math.log(float(values["learning_rate"])) + 5) / until
        loss += int(values["latent_size"]) / 100
        return {
            "status": "completed",
            "mean_loss": loss,
            "hypervolume": 1000.0 - loss,
        }

    monkeypatch.setattr(trials.TrialTuner, "_train_and_score", score)
    # Images of which a search keeps a record.
    few = np.zeros((2, 32, 32, 3), np.uint8)
    images = Splits(few, few, few[:0])
    monkeypatch.setattr(tune_module, "_load", lambda search: images)
    monkeypatch.setattr(trials.gc, "collect", lambda: None)
    # A figure after every trial.
    monkeypatch.setattr(figures, "search_figure", lambda *_: None)
    monkeypatch.setattr(figures, "save", lambda _, path: path.touch())
    return asked


@pytest.fixture
def wide(search):
    return dataclasses.replace(
        search,
        space=SearchSpace(
            learning_rate=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
            latent_size=(2, 4, 8, 16, 32),
        ),
        trials=14,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("oracle", "objective", "trials"),
    [
        ("random", "regret", 10),
        ("random", "hypervolume", 10),
        # Three at random before those that a Gaussian process proposes.
        ("bayesian", "regret", 7),
    ],
)
def test_no_configuration_is_tried_twice_and_the_best_is_kept(
    wide, oracle, objective, trials, scored_at_once, tmp_path
):
    wide = dataclasses.replace(
        wide, oracle=oracle, objective=objective, trials=trials
    )
    outcomes = tune(wide, tmp_path / "search", log=_quiet)
    assert len({o.described() for o in outcomes}) == trials
    stored = json.loads((tmp_path / "search/best_config.json").read_text())
    losses = [o.mean_loss for o in outcomes]
    assert stored["mean_loss"] == min(losses)


@pytest.mark.parametrize(
    ("oracle", "trials", "every"),
    [("random", 3, 1), ("bayesian", 4, 12), ("hyperband", 5, 4)],
)
def test_a_search_cut_off_at_any_write_ends_as_the_uninterrupted_one(
    wide, oracle, trials, every, scored_at_once, tmp_path, monkeypatch
):
    wide = dataclasses.replace(wide, oracle=oracle, trials=trials, epochs=3)
    whole = tune(wide, tmp_path / "whole", log=_quiet)
    # Seconds of drawing and of waiting for the disk.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(SearchDirectory, "write_results", lambda *_: None)
    write = RunDirectory.write_json
    state = {"writes": 0, "last": math.inf}

    def write_or_stop(path, content):
        state["writes"] += 1
        if state["writes"] > state["last"]:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(RunDirectory, "write_json", write_or_stop)
    # The first two write the settings: without them there is no search yet.
    for last in range(2, 100, every):
        state.update(writes=0, last=last)
        scored_at_once.clear()
        with contextlib.suppress(KeyboardInterrupt):
            tune(wide, tmp_path / f"{last}", log=_quiet)
        if state["writes"] <= last:
            break
        state["last"] = math.inf
        again = tune(wide, tmp_path / f"{last}", resume=True, log=_quiet)
        assert [(o.trial, o.values, o.epochs) for o in again] == [
            (o.trial, o.values, o.epochs) for o in whole
        ]
        # At most the trial that was being written is run again.
        assert len(scored_at_once) <= len(whole) + 1
    assert state["writes"] > 20


def test_a_longer_budget_continues_a_finished_search(
    wide, scored_at_once, tmp_path
):
    short = dataclasses.replace(wide, trials=4)
    tune(short, tmp_path / "search", log=_quiet)
    outcomes = tune(wide, tmp_path / "search", resume=True, log=_quiet)
    assert scored_at_once == list(range(14))
    whole = tune(wide, tmp_path / "whole", log=_quiet)
    assert [o.values for o in outcomes] == [o.values for o in whole]


def test_the_time_limit_counts_the_trials_of_earlier_processes(
    wide, scored_at_once, tmp_path, monkeypatch
):
    from training.search import trials

    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr(trials.time, "monotonic", lambda: next(clock))
    limited = dataclasses.replace(wide, time_limit=1.2)
    # Half a minute each: the third ends past the limit.
    assert len(tune(limited, tmp_path / "search", log=_quiet)) == 3
    lines = []
    tune(limited, tmp_path / "search", resume=True, log=lines.append)
    assert len(scored_at_once) == 3
    more = dataclasses.replace(wide, time_limit=2.0)
    assert len(tune(more, tmp_path / "search", resume=True, log=_quiet)) == 4


def test_hyperbands_plan_is_what_it_does(wide, scored_at_once, tmp_path):
    hyperband = dataclasses.replace(
        wide, oracle="hyperband", epochs=9, trials=None
    )
    lines = []
    outcomes = tune(hyperband, tmp_path / "search", log=lines.append)
    assert f"search of {len(outcomes)} trials" in lines[0]
    assert lines[-1].endswith("0 s left")


def test_trials_that_fail_take_no_promotion_from_the_best(
    wide, scored_at_once, tmp_path
):
    hyperband = dataclasses.replace(
        wide,
        oracle="hyperband",
        epochs=9,
        trials=None,
        space=dataclasses.replace(wide.space, kind=("spline", "gate")),
    )
    lines = []
    outcomes = tune(hyperband, tmp_path / "search", log=lines.append)
    failed = [o for o in outcomes if o.status == "failed"]
    assert 2 < len(failed) < len(outcomes) / 2
    # All that was planned, and no failed one was gone on with.
    assert f"search of {len(outcomes)} trials" in lines[0]
    assert {o.epochs for o in failed} <= {1, 3, 9}
    first = [o for o in outcomes if o.epochs == 1]
    longest = [o for o in outcomes if o.epochs == 9 and o.trial > len(first)]
    assert [o.status for o in longest][:1] == ["completed"]


def test_a_whole_hyperband_goes_on_when_it_is_given_more_trials(
    wide, scored_at_once, tmp_path
):
    once = dataclasses.replace(wide, oracle="hyperband", epochs=3, trials=None)
    whole = len(tune(once, tmp_path / "search", log=_quiet))
    more = dataclasses.replace(once, trials=whole + 2)
    again = tune(more, tmp_path / "search", resume=True, log=_quiet)
    assert len(again) == whole + 2


def test_a_fault_in_a_trial_is_one_sentence_and_all_faults_are_the_end(
    wide, scored_at_once, tmp_path
):
    gates = dataclasses.replace(
        wide, space=dataclasses.replace(wide.space, kind=("gate",)), trials=5
    )
    with pytest.raises(
        TrainingDiverged,
        match=r"none of 5 trials .*: RuntimeError: no gates today$",
    ):
        tune(gates, tmp_path / "search", log=_quiet)
    assert scored_at_once == [0, 1, 2, 3, 4]


def test_a_full_disk_ends_the_search_and_not_the_trial(
    wide, tmp_path, monkeypatch
):
    from training.search import trials
    from yoto_tf.errors import SaveError

    def full(self, trial, until):
        raise SaveError("could not save")

    monkeypatch.setattr(trials.TrialTuner, "_train_and_score", full)
    with pytest.raises(SaveError, match="could not save"):
        tune(wide, tmp_path / "search", log=_quiet)
    assert SearchDirectory(tmp_path / "search").outcomes() == []


# The space.


def test_a_dimension_that_has_no_effect_is_not_searched(smoke_config):
    space = SearchSpace(
        kind=("film", "sigmoid_film", "gate"),
        hidden_units=(8, 16),
        strength=(0.1, 0.3),
        normalization=("none", "sum"),
        normalization_power=(0.25, 0.5, 1.0),
    )
    declared = space.hyperparameters(smoke_config)
    # film 2 x 2, sigmoid_film 2, gate 1; none 1, sum 3.
    assert num_configurations(declared) == (4 + 2 + 1) * (1 + 3)
    gates = dataclasses.replace(space, kind=(), normalization=())
    # The preset has a spline, and a loss that is not normalised.
    assert not gates.hyperparameters(smoke_config).space
    summed = with_settings(smoke_config, {"objective.normalization": "sum"})
    names = [hp.name for hp in gates.hyperparameters(summed).space]
    assert names == ["normalization_power"]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_default_space_holds_the_preset_and_keeps_its_width(name):
    config = PRESETS[name].config
    space = space_around(config)
    defaults = space.hyperparameters(config).values
    assert space.configured(config, defaults) == config
    texts = {n: str(getattr(space, n)[-1]) for n in space.to_dict()}
    other = space.configured(config, texts)
    assert other != config
    for kept in ("width", "base_channels", "dense_units", "convs_per_block"):
        assert getattr(other.model, kept) == getattr(config.model, kept)
    assert other.beta.low == config.beta.low
    assert other.data == config.data


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sites": ("block+nowhere",)}, "joined by"),
        ({"learning_rate": (0.1, 0.1)}, "different candidates"),
        ({"kind": ("wavelet",)}, "expected kind to be"),
    ],
)
def test_wrong_candidates_are_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        SearchSpace(**values)


# The edges.


def test_another_search_is_not_continued(finished, search):
    other = dataclasses.replace(search, seed=1, objective="hypervolume")
    with pytest.raises(InputError, match="other values of objective, seed"):
        tune(other, finished[0].path, resume=True)
    with pytest.raises(InputError, match=r"which exists; .*--resume"):
        tune(search, finished[0].path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cifar10"], "search of smoke that lies in"),
        (["compression_smoke"], "search of smoke that lies in"),
        # The default of a new search, and not of this one.
        (["smoke", "--epochs", "5"], "other values of epochs"),
        (["--seed", "3"], "other values of seed"),
    ],
)
def test_what_is_named_is_the_search_that_is_resumed(
    finished, arguments, sentence, capsys, tmp_path
):
    directory = SearchDirectory(tmp_path / "search")
    directory.create(finished[0].read_search(), "smoke")
    words = ["--run-dir", str(directory.path), "--resume"]
    before = directory.search_file.read_bytes()
    with pytest.raises(SystemExit) as ended:
        tune_module.main([*arguments, *words])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert directory.search_file.read_bytes() == before


def test_candidates_of_what_is_not_searched_are_refused(capsys, tmp_path):
    with pytest.raises(SystemExit):
        tune_module.main(
            ["smoke", "--run-dir", str(tmp_path / "search")]
            + ["--tune", "learning_rate", "--space.sites", "block"]
        )
    said = capsys.readouterr().err
    assert "which is learning_rate, received: --space.sites block" in said
    assert list(tmp_path.iterdir()) == []


def test_a_finished_search_is_resumed_without_change(finished, search):
    before = finished[0].table_file.read_bytes()
    tune(search, finished[0].path, resume=True, log=_quiet)
    assert finished[0].table_file.read_bytes() == before


def test_a_process_reads_its_role_from_kerastuners_variables():
    names = ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT")

    def role(*values):
        pairs = zip(names, values, strict=True)
        return read_role({f"KERASTUNER_{n}": v for n, v in pairs if v})

    assert role("", "", "") == Role("alone")
    assert role("chief", "::1", "80") == Role("chief", "::1:80", "chief")
    assert role("a", "h", "80") == Role("worker", "h:80", "a")
    with pytest.raises(InputError, match="no KERASTUNER_ORACLE_PORT"):
        role("a", "h", "")
    with pytest.raises(InputError, match="between 1 and 65535"):
        role("a", "h", "http")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "rendered_shapes3d"),
        (["smoke", "--trials", "0"], "trials to be above 0"),
        (["smoke", "--time-limit", "nan"], "without NaN"),
        (["smoke", "--tune", "width"], "learning_rate"),
        (["smoke", "--space.sites", "roof"], "joined by"),
        (["smoke", "--space.learning-rate", "fast"], "--space.learning-rate"),
        (["smoke", "--oracle", "delphi"], "hyperband"),
        (["smoke", "--resume"], "which has no search.json"),
        (["smoke", "--data.validation-examples", "0"], "expected validation"),
        (["no_such.json"], "which does not exist"),
    ],
)
def test_wrong_command_lines_end_with_code_2_and_what_would_be_right(
    arguments, sentence, data_dir, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    with pytest.raises(SystemExit) as ended:
        tune_module.main(arguments)
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in said
    assert list(tmp_path.iterdir()) == []
