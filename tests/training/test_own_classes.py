"""A conditioning layer and a likelihood from outside of the package: from
`training.train` and a study to the signatures of a server."""

import importlib
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import own_classes
import pytest

from export.saved_model import export_model
from training import train as train_module
from training.evaluate import evaluate
from yoto_tf import load_model
from yoto_tf.run_directory import RunDirectory

ROOT = pathlib.Path(__file__).parents[2]
KIND = "mine_b:Scale(slope=0.5)"
SIZES = ("base-channels", "2"), ("dense-units", "8"), ("latent-size", "2")
PIXELS = 32 * 32 * 3


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
    """A run of the command line, in this process, for one epoch."""
    folder = tmp_path_factory.mktemp("own")
    own_classes.write(folder, "mine_b")
    words = ["--run-dir", folder / "run", "--data.data-dir", data_dir]
    words += ["--model.conditioning.kind", KIND]
    words += ["--model.likelihood", "mine_b:Laplace"]
    words += ["--training.epochs", 1, "--training.pictures-every", 0]
    for name, value in SIZES:
        words += [f"--model.{name}", value]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        train_module.main(["smoke", *map(str, words)])
        yield RunDirectory(folder / "run"), importlib.import_module("mine_b")


def test_the_command_line_trains_a_model_of_them(trained):
    run, mine = trained
    config = json.loads(run.config_file.read_text())["config"]
    assert config["model"]["conditioning"]["kind"] == KIND
    assert config["model"]["likelihood"] == "mine_b:Laplace"
    model = load_model(run.model_file)
    assert type(model.likelihood) is mine.Laplace
    told = [s.conditioning for s in model.encoder.stages if s.conditioning]
    assert {type(layer) for layer in told} == {mine.Scale}
    assert {layer.slope for layer in told} == {0.5}
    # It learned, through layers that began at 0.
    assert all(np.abs(layer.kernel.numpy()).max() > 0 for layer in told)
    rows = run.read_log()
    assert rows[0]["distortion"] < PIXELS * 10


@pytest.mark.slow
def test_it_is_scored_exported_and_served_by_the_same_endpoints(
    trained, tmp_path
):
    run, _ = trained
    evaluate(run)
    assert run.read_curve()[0]["beta"] == 1.0
    version, differences = export_model(
        load_model(run.model_file), tmp_path / "mine", run=run
    )
    assert version.name == "1"
    compared = {(d.signature, d.output) for d in differences}
    assert ("reconstruct", "distortion") in compared
    assert ("sample", "image") in compared
    # Of Laplace(width=0.1), against the formula.
    from yoto_tf.session import Session

    image = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    beta = np.float32([1.0, 200.0])
    with Session(version) as session:
        found = session.run("reconstruct", {"image": image, "beta": beta})
    # What the decoder gave was clipped for the picture alone.
    model = load_model(run.model_file)
    latent, _ = model.encode(image, beta)
    outputs = model.likelihood_of(latent, {"beta": beta}).numpy()
    nats = np.abs(image - outputs) / 0.1 + np.log(0.2)
    np.testing.assert_allclose(
        found["distortion"], nats.sum((1, 2, 3)), rtol=1e-4
    )
    np.testing.assert_allclose(
        found["reconstruction"], np.clip(outputs, 0, 1), atol=1e-5
    )


def _python(code, folder):
    places = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": places},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_another_process_loads_it_where_the_module_can_be_imported(trained):
    run, _ = trained
    code = (
        "import keras\n"
        "import yoto_tf\n"
        f"model = keras.models.load_model({str(run.model_file)!r})\n"
        "print(type(model.likelihood).__name__)\n"
    )
    found = _python(code, run.path.parent)
    assert found.stdout.strip() == "Laplace", found.stderr
    code = f"import yoto_tf; yoto_tf.load_model({str(run.model_file)!r})"
    refused = _python(code, ROOT)
    said = refused.stderr.strip().split("\n")[-1]
    assert said.startswith("yoto_tf.errors.InputError: expected likelihood as")
    assert "'mine_b:Laplace' (No module named 'mine_b')" in said


@pytest.mark.slow
def test_a_study_trains_them_in_its_worker_processes(
    trained, data_dir, tmp_path
):
    run, _ = trained
    (tmp_path / "own.toml").write_text(
        f"""
summary = "A test."
preset = "smoke"
seeds = [0]
grid.beta = [1, 256]

[overrides]
training.epochs = 1
data.data_dir = "{data_dir}"
model.likelihood = "mine_b:Laplace(width=0.2)"

[methods.mine]
model.conditioning.kind = "{KIND}"

[methods.missing]
model.conditioning.kind = "mine_b:Missing"
"""
    )
    folder = tmp_path / "study"
    words = ["own.toml", "--to", str(folder), "--runs", str(folder / "runs")]
    places = os.pathsep.join([str(run.path.parent), str(ROOT)])
    ended = subprocess.run(
        [sys.executable, "-m", "training.study", *words],
        env={**os.environ, "PYTHONPATH": places},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    # One run failed; the other went on.
    assert ended.returncode == 1, ended.stderr + ended.stdout
    text = (folder / "results.csv").read_text()
    rows = {tuple(line.split(",")[:1]) for line in text.split("\n")[1:] if line}
    assert rows == {("mine",), ("missing",)}
    assert "no attribute 'Missing'" in text
    mine = next((folder / "runs" / "mine").glob("*/model.keras"))
    assert load_model(mine).likelihood.width == 0.2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.likelihood", "laplace"], "'bernoulli','gaussian',"),
        (["--model.conditioning.kind", "flim"], "'film','sigmoid_film',"),
        (["--model.likelihood", "not_here:L"], "Nomodulenamed'not_here'"),
    ],
)
def test_unknown_names_end_the_command_line(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        train_module.main(["smoke", "--run-dir", str(tmp_path / "r"), *words])
    assert ended.value.code == 2
    # Wrapped into a box, as wide as the terminal.
    said = re.sub(r"[\s│|]", "", capsys.readouterr().err)
    assert message in said
    assert not (tmp_path / "r").exists()


def test_the_help_lists_the_built_in_names(capsys):
    with pytest.raises(SystemExit):
        train_module.main(["smoke", "--help"])
    said = re.sub(r"[\s│|]", "", capsys.readouterr().out)
    assert "{film,sigmoid_film,gate,spline,concatenation,none}" in said
    assert "{bernoulli,gaussian,squared_error}" in said
