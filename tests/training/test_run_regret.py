"""What a model loses to itself and to one for a single value."""

import json
import shutil

import numpy as np
import pytest

from training import evaluate as evaluate_module
from training import regret
from training.evaluate import evaluate
from yoto_tf.families import family_for
from yoto_tf.families import get_family
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory

VAE = get_family("vae")


def row(beta, distortion, rate):
    full = distortion + beta * rate
    return {
        "beta": beta,
        "distortion": distortion,
        "rate": rate,
        "full_loss": full,
    }


def test_points_that_another_value_serves_better_are_found():
    # Asked for 4, the model pays more rate than asked for 1 and has no less
    # distortion: 1's code costs 100 + 4 * 10 = 140 there, its own 144.
    rows = [row(1.0, 100, 10), row(4.0, 96, 12), row(16.0, 200, 1)]
    found = regret.envelope(rows, VAE)
    assert found["largest_gain"] == pytest.approx(4)
    assert found["at"] == {"beta": 4.0}
    assert found["by_asking"] == {"beta": 1.0}
    # At 1: 108 against 110.
    assert found["mean_gain"] == pytest.approx((2 + 4 + 0) / 3)
    said = regret.envelope_sentence(found, VAE)
    assert "gains 2 nats per image on average" in said
    assert "at most 4 at beta=4, by asking for beta=1" in said


def test_a_convex_trade_off_gains_nothing():
    # D = -50 log R: the best R at beta is 50 / beta.
    rows = [row(b, -50 * np.log(50 / b), 50 / b) for b in (1.0, 4.0, 16.0)]
    found = regret.envelope(rows, VAE)
    assert found["largest_gain"] == found["mean_gain"] == 0
    assert "no point is served better" in regret.envelope_sentence(found, VAE)


def test_of_compression_lambda_weighs_the_distortion():
    codecs = get_family("compression")
    rows = [
        {"lmbda": lmbda, "rate": rate, "distortion": distortion,
         "full_loss": rate + lmbda * distortion}
        for lmbda, rate, distortion in ((0.01, 0.3, 50), (0.1, 0.6, 60))
    ]  # fmt: skip
    # At 0.1: 0.6 + 6 of its own, 0.3 + 5 by asking for 0.01.
    found = regret.envelope(rows, codecs)
    assert found["largest_gain"] == pytest.approx(1.3)
    assert found["by_asking"] == {"lmbda": 0.01}


def test_scores_that_do_not_tell_are_not_checked():
    rows = [row(1.0, 100, 10), row(4.0, 96, 12)]
    # Another term than the family knows of.
    rows[1]["full_loss"] += 5
    assert regret.envelope(rows, VAE) == {}
    assert regret.envelope(rows[:1], VAE) == {}
    # A family that does not say.
    tables = family_for(get_preset("credit_cost").config)
    rows = [{n: 1.0 for n in (*tables.parameters, "full_loss")}] * 2
    assert regret.envelope(rows, tables) == {}


def test_the_regrets_of_other_values_and_lengths_stay():
    four = {"point": {"beta": 4.0}, "epochs": 1, "regret": 0.5}
    longer = {**four, "epochs": 2}
    other = {**four, "point": {"beta": 1.0}}
    again = {**four, "regret": 0.25}
    found = []
    for one in (four, longer, other, again):
        found = regret.among(found, one)
    assert found == [longer, other, again]


@pytest.fixture
def own_run(trained_run, tmp_path):
    shutil.copytree(trained_run.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


@pytest.mark.slow
def test_the_regret_is_the_difference_to_a_model_for_that_value(
    own_run, capsys
):
    words = [str(own_run.path), "--grid", "beta=1,4"]
    evaluate_module.main([*words, "--regret-at", "beta=4"])
    said = capsys.readouterr().out
    assert "training a model for beta=4 alone" in said
    assert "regret at beta=4: " in said
    assert "envelope check: " in said
    fixed = RunDirectory(own_run.path / "fixed" / "beta4-epochs1")
    assert fixed.read_config().beta.values == (4.0,)
    (found,) = json.loads(own_run.evaluation_file.read_text())["regrets"]
    mine = evaluate(own_run, [{"beta": 4.0}], log=lambda s: None)
    other = evaluate(fixed, [{"beta": 4.0}], log=lambda s: None)
    expected = mine[0]["full_loss"] - other[0]["full_loss"]
    assert found["regret"] == pytest.approx(expected, rel=1e-6)
    # It is there now.
    before = fixed.model_file.stat().st_mtime_ns
    evaluate_module.main([*words, "--regret-at", "beta=4"])
    assert "training a model" not in capsys.readouterr().out
    assert fixed.model_file.stat().st_mtime_ns == before
    # Nor is it forgotten where it is not asked for.
    evaluate_module.main(words)
    assert "regret at beta=4: " in capsys.readouterr().out
    assert json.loads(own_run.evaluation_file.read_text())["regrets"] == [found]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--regret-at", "beta=1,4"], "one value of every loss parameter"),
        (["--regret-at", "gamma=1"], "gamma"),
        (["--regret-at", "beta=-1"], "-1"),
        (["--regret-epochs", "2"], "beside regret-at alone"),
        (["--regret-at", "beta=4", "--regret-epochs", "0"], "epochs of 1 or"),
    ],
)
def test_what_cannot_be_compared_is_refused(own_run, words, message, capsys):
    def scores():
        file = own_run.evaluation_file
        return file.exists() and file.stat().st_mtime_ns

    before = scores()
    with pytest.raises(SystemExit) as ended:
        evaluate_module.main([str(own_run.path), "--grid", "beta=1", *words])
    assert ended.value.code == 2
    # Before anything is scored.
    assert scores() == before
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (own_run.path / "fixed").exists()
