"""No setting of a preset on a table without effect: each is changed, and the
run or its scores are seen to change, or the change is refused. Runs are real,
of a few steps."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tables import write_table
from test_settings_act import OTHERS
from test_settings_act import choices
from test_settings_act import leaves
from test_settings_act import updates

from training import evaluate as evaluate_module
from training import train as train_module
from training.optimizers import make_optimizer
from yoto_tf.errors import InputError
from yoto_tf.families import all_presets
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.strict_config import with_settings

TRIED = {
    "family": ["not_here"],
    "task": OTHERS,
    "data.name": ["{folder}/other.csv"],
    "data.target": ["b"],
    "data.positive": ["n", "unset"],
    "data.leave_out": [("a",)],
    "data.missing": OTHERS,
    "data.dither": [True, False],
    "data.validation_examples": [20],
    "data.test_examples": [90],
    "data.split_seed": [1],
    "model.depth": [1],
    "model.hidden_units": [5],
    "model.clip_at": [0.5, "unset"],
    "model.conditioning.kind": OTHERS,
    "model.conditioning.sites": [("output",)],
    "model.conditioning.knots": [3],
    "model.conditioning.hidden_units": [6],
    "model.conditioning.strength": [0.3],
    "parameters.0.name": ["false_alarm"],
    "parameters.0.distribution": OTHERS,
    "parameters.0.low": [0.03],
    "parameters.0.high": [0.99],
    "parameters.0.values": [(0.5, 0.7)],
    "parameters.0.description": ["Another."],
    "objective.normalization": OTHERS,
    "objective.normalization_power": [0.3],
    "optimizer.learning_rate": [0.02],
    "optimizer.schedule": OTHERS,
    "optimizer.warmup_steps": [3],
    "optimizer.decay_share": [0.25],
    "optimizer.halve_at": [(2, 4)],
    "optimizer.weight_decay": [10.0],
    "optimizer.beta_2": [0.9],
    "optimizer.epsilon": [0.1],
    "optimizer.clip_norm": [0.05],
    "optimizer.clip_ratio": [2.0, "unset"],
    "training.epochs": [3],
    "training.steps": [20],
    "training.batch_size": [7],
    "training.seed": [1],
    "training.dtype": OTHERS,
    "training.jit_compile": [True],
    "training.pictures_every": [0, 2],
    "evaluation.values": [(0.4, 0.9)],
    "evaluation.threshold": OTHERS,
}


def small(preset, folder):
    """The preset on a table with the columns that it needs, for a moment."""
    config = get_preset(preset).config
    # Some rows far out, for `clip_at`, and one that lacks a value.
    far = np.where(np.arange(200) % 40, np.linspace(-1, 1, 200), 50.0)
    far[7] = np.nan
    write_table(folder, 200, far=far)
    counts = config.task == "quantile"
    write_table(folder, 200, "other.csv", far=far, b=np.arange(200.0) % 17)
    return with_settings(
        config,
        {
            "data.name": f"{folder}/table.csv",
            "data.target": "count" if counts else "found",
            "data.positive": "unset" if counts else "y",
            "data.leave_out": ("found",) if counts else ("count",),
            "data.missing": "leave_out_rows",
            "data.validation_examples": 30,
            "data.test_examples": 60,
            "training.steps": 6,
            "training.batch_size": 32,
        },
    )


def outcome(config, folder):
    """All that a run leaves."""
    model, run = train_module.train(
        config, folder, verbose=0, tensorboard=False, log=str
    )
    rows = evaluate_module.evaluate(run, log=str)
    optimizer = make_optimizer(config.optimizer, 6)
    splits = family_for(config).load(config)
    return repr(
        [
            [w.numpy().tolist() for w in model.weights],
            [sorted(row.items()) for row in rows],
            [getattr(splits, n).x.shape for n in ("validation", "test")],
            splits.test.x.tolist(),
            updates(optimizer, 6),
            run.log_file.read_text().count("\n"),
            model._xla,
            [p.description for p in config.parameters],
        ]
    )


@pytest.fixture(autouse=True)
def eagerly():
    # A few steps cost less than the tracing of one.
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental")
@pytest.mark.parametrize("preset", all_presets("tabular"))
def test_each_setting_changes_the_run_or_is_refused(preset, tmp_path):
    config = small(preset, tmp_path)
    base = outcome(config, tmp_path / "base")
    assert outcome(config, tmp_path / "again") == base
    unseen, count = [], 0
    for path, owner, value in leaves(config):
        if path == ("parameters",):
            continue
        dotted = ".".join(map(str, path))
        tried = TRIED[dotted]
        if tried is OTHERS:
            tried = choices(owner, path[-1])
        given = "unset" if value is None else value
        tried = [t for t in tried if t != given]
        assert tried, dotted
        for number in tried:
            other = number
            if isinstance(number, str):
                other = number.format(folder=tmp_path)
            count += 1
            try:
                new = _changed(config, path, other)
                if outcome(new, tmp_path / str(count)) == base:
                    unseen.append(f"{dotted}: {value!r} -> {other!r}")
            except InputError:
                pass
    assert not unseen, unseen


def _changed(config, path, other):
    if path[0] != "parameters":
        return with_settings(config, {".".join(path): other})
    first = dataclasses.asdict(config.parameters[0]) | {path[-1]: other}
    return with_settings(config, {"parameters": (first,)})
