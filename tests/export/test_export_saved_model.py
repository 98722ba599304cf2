"""`python -m export.saved_model`: from a run to answers of a server."""

import base64
import json
import pathlib
import shlex
import shutil
import subprocess
import sys

import export_runs
import numpy as np
import pytest
import serving_models
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from waiting import OF_PROCESS

from export import saved_model
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.endpoints import vae_endpoints
from yoto_tf.families.vae.view import VIEW
from yoto_tf.families.view import View
from yoto_tf.run_directory import RunDirectory

ROOT = pathlib.Path(__file__).parents[2]
FLOAT = types_pb2.DT_FLOAT
IMAGE = [-1, 32, 32, 3]


@pytest.fixture(scope="module")
def exported():
    return export_runs.exported("bernoulli", "error")


def test_signatures_have_their_names_types_and_shapes(exported):
    proto = saved_model_pb2.SavedModel.FromString(
        (exported.path / "saved_model.pb").read_bytes()
    )
    found = {
        name: tuple(
            {
                key: (t.dtype, [d.size for d in t.tensor_shape.dim])
                for key, t in group.items()
            }
            for group in (signature.inputs, signature.outputs)
        )
        for name, signature in proto.meta_graphs[0].signature_def.items()
        if name != "__saved_model_init_op"
    }
    row, image = (FLOAT, [-1]), (FLOAT, IMAGE)
    latent = (FLOAT, [-1, 4])
    text, flag = (types_pb2.DT_STRING, [-1]), (types_pb2.DT_BOOL, [-1])
    scores = {"rate": row, "distortion": row}
    reconstruct = (
        {"image": image, "beta": row},
        {"reconstruction": image, "in_range": flag, **scores},
    )
    curve = (FLOAT, [-1, -1])
    texts = ("name", "trained", "scale", "description")
    numbers = ("low", "high", "default")
    assert found == {
        "serving_default": reconstruct,
        "reconstruct": reconstruct,
        "encode": (
            {"image": image, "beta": row},
            {"mean": latent, "stddev": latent},
        ),
        "decode": ({"latent": latent, "beta": row}, {"image": image}),
        "sample": ({"noise": latent, "beta": row}, {"image": image}),
        "reconstruct_bytes": (
            {"image_bytes": text, "beta": row},
            {"image_bytes": text, "rate": row},
        ),
        "curve": (
            {"image": image, "beta": curve},
            {
                "reconstruction": (FLOAT, [-1, -1, 32, 32, 3]),
                "rate": curve,
                "distortion": curve,
            },
        ),
        "loss_parameters": (
            {"rows": (types_pb2.DT_INT32, [-1])},
            {
                **dict.fromkeys(texts, (types_pb2.DT_STRING, [-1, 1])),
                **dict.fromkeys(numbers, (FLOAT, [-1, 1])),
                "ranges": (FLOAT, [-1, 1, 1, 2]),
            },
        ),
    }


def test_the_network_is_saved_and_the_optimizer_is_not(exported):
    variables = exported.path / "variables" / "variables"
    names = [name for name, _ in tf.train.list_variables(str(variables))]
    saved = [n for n in names if n.startswith("_all_variables")]
    network = len(exported.model.encoder.weights) + len(
        exported.model.decoder.weights
    )
    # And what each latent starts with.
    assert len(saved) == network + 1


def test_the_manifest_says_what_it_was_made_of(exported):
    folder = exported.path / "assets.extra"
    manifest = json.loads((folder / "manifest.json").read_text())
    (beta,) = manifest["loss_parameters"]
    assert (beta["name"], beta["low"], beta["high"]) == ("beta", 0.5, 512)
    assert beta["trained"] == "between 0.5 and 512"
    assert manifest["family"] == "vae"
    assert View.from_dict(manifest["view"]) == VIEW
    assert manifest["invalid_rows"] == "error"
    assert manifest["image_shape"] == [32, 32, 3]
    assert manifest["latent_size"] == 4
    assert manifest["parameters"] == exported.model.count_params()
    assert manifest["with"]["packages"]["tensorflow"] == tf.__version__
    assert "git_revision" in manifest["with"]
    config = ExperimentConfig.from_dict(manifest["trained"]["config"])
    assert config == exported.run.read_config()
    assert manifest["signatures"]["curve"]["beta"] == {
        "dtype": "float32",
        "shape": [None, None],
    }
    assert manifest["max_abs_difference_to_keras"]["encode.mean"] < 1e-4
    curve = (folder / "curve.csv").read_bytes()
    assert curve == exported.run.curve_file.read_bytes()


@pytest.mark.slow
def test_an_embedded_server_answers_over_rest(exported):
    image, beta = export_runs.images(2), export_runs.betas(2)
    with serving_models.running(exported.path.parent, "tiny") as server:
        status, reply = serving_models.ask(
            server,
            "POST",
            "/v1/models/tiny:predict",
            json.dumps(
                {"inputs": {"image": image.tolist(), "beta": beta.tolist()}}
            ),
        )
        assert status == 200
        np.testing.assert_allclose(
            reply["outputs"]["reconstruction"],
            exported.model.reconstruct(image, beta),
            atol=1e-5,
        )
        file = base64.b64encode(export_runs.png(50, 40)).decode()
        body = {
            "signature_name": "reconstruct_bytes",
            "instances": [{"image_bytes": {"b64": file}, "beta": 4.0}],
        }
        status, reply = serving_models.ask(
            server, "POST", "/v1/models/tiny:predict", json.dumps(body)
        )
        assert status == 200
        (row,) = reply["predictions"]
        picture = tf.io.decode_png(base64.b64decode(row["image_bytes"]["b64"]))
        assert picture.shape == (32, 32, 3)
        body["instances"][0]["beta"] = 1000
        status, reply = serving_models.ask(
            server, "POST", "/v1/models/tiny:predict", json.dumps(body)
        )
        assert status == 400
        assert "expected beta between 0.5 and 512" in reply["error"]
        status, reply = serving_models.ask(
            server, "GET", "/v1/models/tiny/metadata"
        )
        signatures = reply["metadata"]["signature_def"]["signature_def"]
        assert set(signatures) >= {"curve", "encode", "loss_parameters"}


def saved_model_cli(*arguments):
    command = pathlib.Path(sys.executable).with_name("saved_model_cli")
    return subprocess.run(
        [command, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=OF_PROCESS,
    ).stdout


def readme_commands():
    """The saved_model_cli lines of docs/serving.md, as lists of arguments."""
    text = (ROOT / "docs/serving.md").read_text().replace("\\\n", " ")
    lines = [x for x in text.splitlines() if x.startswith("saved_model_cli")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.slow
def test_the_readmes_saved_model_cli_commands_work(exported):
    show, run = [
        [exported.path if a == "models/shapes/1" else a for a in command]
        for command in readme_commands()
    ]
    shown = saved_model_cli(*show)
    assert "inputs['latent']" in shown
    assert "outputs['image']" in shown
    answer = saved_model_cli(*run)
    assert "Result for output key name:\n[[b'beta']]" in answer
    assert "Result for output key high:\n[[512.]]" in answer


@pytest.mark.slow
def test_saved_model_cli_runs_it_on_a_file(exported, tmp_path):
    image, beta = export_runs.images(3), export_runs.betas(3)
    np.savez(tmp_path / "inputs.npz", image=image, beta=beta)
    file = tmp_path / "inputs.npz"
    saved_model_cli(
        "run",
        *("--dir", exported.path, "--tag_set", "serve"),
        *("--signature_def", "encode", "--outdir", tmp_path),
        *("--inputs", f"image={file}[image];beta={file}[beta]"),
    )
    mean, _ = exported.model.encode(image, beta)
    np.testing.assert_allclose(
        np.load(tmp_path / "mean.npy"), mean, rtol=1e-5, atol=1e-5
    )


def stub_export(monkeypatch, exported, failure=None):
    def export(run, to, invalid_rows, batching_config):
        if failure:
            raise failure
        shutil.copytree(exported.path, to / "1")
        return to / "1", exported.differences

    monkeypatch.setattr(saved_model, "export", export)


def test_the_command_line_prints_differences_and_the_version(
    exported, tmp_path, monkeypatch, capsys
):
    stub_export(monkeypatch, exported)
    to = tmp_path / "models" / "demo"
    saved_model.main([str(exported.run.path), "--to", str(to)])
    out = capsys.readouterr().out
    assert "| reconstruct_bytes | image_bytes |" in out
    assert f"exported: {to / '1'} (" in out
    assert f"--model_name=demo --model_base_path={to}" in out


def test_the_command_that_follows_can_be_pasted(
    exported, tmp_path, monkeypatch, capsys
):
    stub_export(monkeypatch, exported)
    to = tmp_path / "my models" / "two words"
    saved_model.main([str(exported.run.path), "--to", str(to)])
    line = capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")
    assert shlex.split(line)[3:] == [
        "--model_name=two words",
        f"--model_base_path={to}",
    ]


def test_a_mismatch_is_one_sentence(exported, tmp_path, monkeypatch, capsys):
    from yoto_tf.errors import VerificationError

    stub_export(monkeypatch, exported, VerificationError("mean differs by 1"))
    with pytest.raises(SystemExit) as caught:
        saved_model.main([str(exported.run.path), "--to", str(tmp_path / "m")])
    expected = "error: mean differs by 1; nothing was published"
    assert str(caught.value) == expected


def test_a_full_disk_is_one_sentence(exported, tmp_path, monkeypatch, capsys):
    def full(*arguments, **named):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    monkeypatch.setattr(tf.saved_model, "save", full)
    some = vae_endpoints(exported.model)[-1:]
    monkeypatch.setattr(
        "yoto_tf.families.vae.endpoints.vae_endpoints", lambda *_: some
    )
    line = refusal(capsys, exported.run.path, "--to", tmp_path / "m")
    assert "could not write the SavedModel (No space left)" in line
    assert list((tmp_path / "m").iterdir()) == []


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        saved_model.main([str(a) for a in arguments])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_runs_that_cannot_be_exported(exported, tmp_path, capsys):
    to = ("--to", tmp_path / "m")
    assert "written by training.train" in refusal(
        capsys, tmp_path / "none", *to
    )
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(exported.run.path, run.path)
    run.model_file.unlink()
    assert "trained to its end" in refusal(capsys, run.path, *to)
    run.model_file.write_bytes(b"damaged")
    assert "cannot be read" in refusal(capsys, run.path, *to)
    run.curve_file.unlink()
    assert "training.evaluate" in refusal(capsys, run.path, *to)
    assert "is a version" in refusal(
        capsys, exported.run.path, "--to", exported.path
    )
    assert not (tmp_path / "m").exists()
