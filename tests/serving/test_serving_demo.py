"""`make serve`: from a finished run, or an export, to the page."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest
import serving_models
from test_architecture import ROOT

from serving import demo
from serving.client import Client
from yoto_tf.run_directory import RunDirectory

FREE_PORTS = ["--page-port", "0", "--port", "0", "--rest-api-port", "0"]


def test_the_newest_export_is_found(tmp_path):
    def publish(name, number, time):
        version = tmp_path / name / str(number)
        version.mkdir(parents=True)
        (version / "saved_model.pb").touch()
        os.utime(version, (time, time))
        return version

    assert demo.newest_export(tmp_path) is None
    assert demo.newest_export(tmp_path / "missing") is None
    for strange in ("**", str(tmp_path / "missing")):
        assert demo.newest_export(tmp_path, strange) is None
    publish("a", 9, 100)
    newest = publish("a", 10, 300)
    other = publish("b", 7, 200)
    (tmp_path / "a/11").mkdir()
    (tmp_path / "a/.unfinished-1").mkdir()
    assert demo.newest_export(tmp_path) == newest
    assert demo.newest_export(tmp_path, "b") == other
    assert demo.newest_export(tmp_path, "c") is None


def test_a_step_that_fails_ends_with_its_code():
    with pytest.raises(SystemExit) as ended:
        demo._run(threading.Event(), "json.tool", "no_such_file")
    assert ended.value.code == 2


def test_a_step_is_ended_with_the_demo():
    stop = threading.Event()
    stop.set()
    with pytest.raises(SystemExit) as ended:
        # A web server, which would run for ever.
        demo._run(stop, "http.server", "0", "--bind", "127.0.0.1")
    assert ended.value.code == 0


@pytest.fixture
def signals_kept():
    kept = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_kept")
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--model", "film"], "error: expected an export of 'film' in"),
        (["--port", "-1"], "error: expected --port between 0 and 65535"),
        (
            ["--port", "{0}", "--page-port", "{0}"],
            "error: expected different ports, received: --page-port and "
            "--port {0}",
        ),
        (
            ["--port", "{0}", "--rest-api-port", "{0}"],
            "error: expected different ports, received: --port and "
            "--rest-api-port {0}",
        ),
        (["--preset", "smoky"], "error: expected a preset among"),
    ],
)
def test_an_unknown_model_and_a_wrong_port_are_named(
    wrong, sentence, tmp_path, capsys
):
    port = serving_models.free_port()
    wrong = [word.format(port) for word in wrong]
    ports = zip(FREE_PORTS[::2], FREE_PORTS[1::2], strict=True)
    others = [w for pair in ports if pair[0] not in wrong for w in pair]
    with pytest.raises(SystemExit) as ended:
        demo.main(["--models", str(tmp_path), *others, *wrong])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(sentence.format(port))


@pytest.mark.usefixtures("signals_kept")
def test_an_export_that_cannot_be_loaded_is_named(tmp_path):
    version = tmp_path / "shapes/3"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"cut off")
    with pytest.raises(SystemExit) as ended:
        demo.main(["--models", str(tmp_path), *FREE_PORTS])
    assert ended.value.code.startswith(f"error: {version}: ")


@pytest.mark.slow
def test_a_finished_run_is_exported_served_and_shown(trained_run, tmp_path):
    shutil.copytree(trained_run.path, tmp_path / "run")
    command = [sys.executable, "-m", "serving.demo", *FREE_PORTS]
    command += ["--models", tmp_path / "models", "--run-dir", tmp_path / "run"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            said = ""
            for line in process.stdout:
                said += line
                if line.startswith("page:"):
                    break
            assert f"model:  {tmp_path}/models/shapes/1" in said
            url = re.search(r"^server: (\S+)", said, re.MULTILINE)[1]
            with Client(url, "shapes") as client:
                assert client.metadata().signatures["reconstruct"].inputs[
                    "image"
                ].shape[1:] == (32, 32, 3)
            page = re.search(r"^page: +(\S+)", said, re.MULTILINE)[1]
            with urllib.request.urlopen(page) as answer:
                assert "One model, every loss" in answer.read().decode()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_the_preset_that_is_trained_can_be_chosen(monkeypatch, tmp_path):
    steps = []
    monkeypatch.setattr(demo, "_run", lambda stop, *words: steps.append(words))
    models, run = tmp_path / "models", tmp_path / "run"
    demo.make_export(demo.Arguments(models, None, run, "smoke"), None)
    run.mkdir()
    demo.make_export(demo.Arguments(models, None, run), None)
    # A finished run is exported as it is, whatever settings it has.
    RunDirectory(run).model_file.touch()
    demo.make_export(demo.Arguments(models, None, run), None)
    train, export = ("training.demo", "--run-dir", run), "export.saved_model"
    assert steps == [
        (*train, "--preset", "smoke"),
        (export, run, "--to", models / "smoke"),
        train,
        (export, run, "--to", models / "shapes"),
        (export, run, "--to", models / "shapes"),
    ]
