"""Runs that were never trained, and their exports, for the tests of export."""

import dataclasses
import functools
import json
import pathlib

import keras
import made_once
import numpy as np
import tensorflow as tf

from export.saved_model import export
from serving.embedded.run import predict
from serving.embedded.run.engine import SavedModelVersion
from serving.embedded.status import StatusError
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.loss_config import BetaConfig
from yoto_tf.families.vae.model.conv_vae import ConditionalVAE
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.run_directory import RunDirectory
from yoto_tf.verification import Difference

SIZE = 32
LATENTS = 4
CURVE = [
    ["beta", "distortion", "rate"],
    [0.5, 2000.0, 30.0],
    [512.0, 2100.0, 0.1],
]
_BETAS = {
    "log_uniform": BetaConfig(low=0.5, high=512.0),
    "choice": BetaConfig(distribution="choice", values=(1.0, 4.0, 16.0)),
    "constant": BetaConfig(distribution="constant", values=(4.0,)),
}


def config(likelihood="bernoulli", beta="log_uniform"):
    """A tiny experiment."""
    return ExperimentConfig(
        model=ModelConfig(
            likelihood=likelihood,
            latent_size=LATENTS,
            base_channels=2,
            convs_per_block=1,
            dense_units=8,
        ),
        beta=_BETAS[beta],
    )


def model(likelihood="bernoulli", beta="log_uniform", seed=0):
    """A model with random weights, biases included, so that beta counts."""
    keras.utils.set_random_seed(seed)
    c = config(likelihood, beta)
    made = ConditionalVAE((SIZE, SIZE, 3), c.model, c.beta, seed=seed)
    rng = np.random.default_rng(seed)
    for w in made.trainable_variables:
        w.assign_add(rng.normal(scale=0.1, size=w.shape).astype("float32"))
    return made


def write_run(path, likelihood="bernoulli", beta="log_uniform", made=None):
    """Writes the run directory of such a model."""
    run = RunDirectory(path)
    run.create(config(likelihood, beta), preset="none")
    run.save_model(made or model(likelihood, beta))
    run.write_csv(run.curve_file, CURVE)
    return run


@dataclasses.dataclass(frozen=True)
class Exported:
    """A run, what was exported of it, and that in the C++ session.

    Attributes:
        run: `RunDirectory`.
        model: `ConditionalVAE`.
        path: the version.
        differences: of the verification.
        version: the embedded server's engine on it.
    """

    run: RunDirectory
    model: ConditionalVAE
    path: pathlib.Path
    differences: list
    version: SavedModelVersion

    def ask(self, signature, **inputs):
        """Runs a signature, as a server does."""
        found = predict.find_signature(self.version, signature)
        return predict.run(self.version, found, inputs, ())

    def refusal(self, signature, **inputs):
        """The code and the text with which a signature fails."""
        try:
            self.ask(signature, **inputs)
        except StatusError as error:
            return error.code.name, error.message
        return "OK", ""


@functools.cache
def exported(likelihood, invalid_rows):
    """Exports such a run, once per session; tests must not change it."""
    name = f"export-{likelihood}-{invalid_rows}"
    base = made_once.made_once(
        name, functools.partial(_export, likelihood, invalid_rows)
    )
    run = RunDirectory(base / "run")
    path = base / "models" / "tiny" / "1"
    differences = [
        Difference(**d)
        for d in json.loads((base / "differences.json").read_text())
    ]
    return Exported(
        run, run.load_model(), path, differences, SavedModelVersion(str(path))
    )


def _export(likelihood, invalid_rows, base):
    run = write_run(base / "run", likelihood)
    _, differences = export(run, base / "models" / "tiny", invalid_rows)
    (base / "differences.json").write_text(
        json.dumps([dataclasses.asdict(d) for d in differences])
    )


def images(batch, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(batch, SIZE, SIZE, 3)).astype("float32")


def latents(batch, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, LATENTS)).astype("float32")


def betas(batch):
    """Betas over the whole trained range, its ends included."""
    if batch == 1:
        return np.float32([16.0])
    return np.geomspace(0.5, 512.0, batch).astype("float32")


def png(height=SIZE, width=SIZE, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, channels), dtype="uint8")
    return tf.io.encode_png(pixels).numpy()


def files(*contents):
    """A string tensor of file contents."""
    array = np.empty(len(contents), object)
    array[:] = contents
    return array
