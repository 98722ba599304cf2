"""A seed that cannot be one is refused with one sentence, everywhere."""

import keras
import numpy as np
import pytest

import yoto_tf
from training import evaluate
from training import plots
from yoto_tf import InputError
from yoto_tf.families.vae.model.posterior import make_posterior
from yoto_tf.seeds import HIGHEST
from yoto_tf.seeds import checked_seed
from yoto_tf.settings import TrainingConfig

WRONG = [-1, HIGHEST + 1, 2**31, 2**63, 10**30, True, False, 1.5, "7"]


@pytest.mark.parametrize("seed", WRONG)
def test_what_is_no_seed(seed):
    said = f"expected seed .*, received: seed={seed!r}".replace("+", r"\+")
    with pytest.raises(InputError, match=said):
        checked_seed(seed)
    with pytest.raises(InputError, match=said):
        yoto_tf.ConditionalVAE((32, 32, 1), seed=seed)
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(InputError, match=said):
        yoto_tf.condition(
            net,
            terms={"a": "mse", "b": "mae"},
            loss_parameters={"a": yoto_tf.LogUniform(0.1, 1.0)},
            seed=seed,
        )
    with pytest.raises(InputError, match=said):
        TrainingConfig(seed=seed)


@pytest.mark.parametrize("seed", [0, 7, HIGHEST, np.int64(7), np.uint8(7)])
def test_what_is_a_seed(seed):
    model = yoto_tf.ConditionalVAE((32, 32, 1), seed=seed)
    assert (type(model.seed), model.seed) == (int, seed)
    keras.utils.set_random_seed(int(seed))


def test_no_seed():
    assert yoto_tf.ConditionalVAE((32, 32, 1)).seed is None


@pytest.mark.parametrize("seed", WRONG[:2])
def test_samples(seed):
    model = yoto_tf.ConditionalVAE((32, 32, 1))
    with pytest.raises(InputError, match="expected seed as a whole number"):
        model.sample(1, 4.0, seed=seed)
    with pytest.raises(InputError, match="expected seed as a whole number"):
        make_posterior(model.model_config, model.beta_config, seed=seed)


@pytest.mark.parametrize("script", [evaluate, plots])
def test_command_lines_say_so_before_they_read_the_run(script, capsys):
    with pytest.raises(SystemExit) as ended:
        script.main(["no-run", "--seed", "-1"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "expected seed as a whole number from 0 to " in said
    assert "received: seed=-1" in said


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (TrainingConfig, "epochs"),
        (TrainingConfig, "batch_size"),
        (yoto_tf.BetaConfig, "high"),
        (yoto_tf.ModelConfig, "latent_size"),
    ],
)
def test_true_is_no_number_of_a_setting(config, name):
    with pytest.raises(InputError, match=f"received: {name}=True"):
        config(**{name: True})
