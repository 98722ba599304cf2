"""The benchmark of serving: its figures belong together, its errors are told.

No time is asserted.
"""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import threading
import time

import export_runs
import numpy as np
import PIL.Image
import psutil
import pytest
import serving_models

from serving import benchmark
from serving.load import cells
from serving.load import report
from serving.load.payload import BYTES
from serving.load.payload import FLOATS
from serving.load.payload import GRPC
from serving.load.payload import Payload
from serving.load.request_maker import RequestMaker
from serving.load.server_process import is_available
from serving.load.workers import Samples
from serving.page import examples

SERVER = "serving.server"
KINDS = ["bare session", "gRPC", "REST, floats", "REST, bytes"]


@pytest.fixture(scope="module")
def exported():
    return export_runs.exported("bernoulli", "error")


@pytest.mark.slow
def test_a_small_benchmark_and_a_soak(exported, tmp_path, capsys):
    file = tmp_path / "figures.json"
    benchmark.main(
        [
            *("--model", str(exported.path.parent)),
            *("--batch-sizes", "1", "2"),
            *("--clients", "1", "3"),
            *("--requests", "6"),
            *("--rounds", "2"),
            *("--soak", "60"),
            *("--json-file", str(file)),
        ]
    )
    result = json.loads(file.read_text())
    assert result["model"] == "tiny/1"
    assert "git_revision" in result
    found = [
        (c["batch_size"], c["clients"], c["what"]) for c in result["cells"]
    ]
    assert found == [(b, n, k) for b in (1, 2) for n in (1, 3) for k in KINDS]
    for c in result["cells"]:
        assert c["faults"] == []
        assert c["requests"] == 6
        assert c["requests_per_second"] == pytest.approx(6 / c["seconds"])
        assert c["images_per_second"] == pytest.approx(
            c["batch_size"] * c["requests_per_second"]
        )
        assert 0 < c["p50_ms"] <= c["p99_ms"] <= 1000 * c["seconds"]
        if c["what"] == "bare session":
            assert c["p50_of_bare"] == c["images_of_bare"] == 1
    assert result["soak"]["requests"] == 60
    assert result["soak"]["faults"] == []
    assert len(result["soak"]["resident_mib"]) == 5
    assert min(result["soak"]["resident_mib"]) > 50
    out = capsys.readouterr().out
    assert "| 2 | 3 | REST, bytes |" in out
    assert "gRPC at batch 1, one client: " in out
    assert "60 requests: 0 errors or wrong answers." in out


def samples(*times, faults=()):
    return Samples(list(times), list(faults))


def test_figures_are_what_the_samples_say():
    bare = [samples((0, 1), (1, 2)), samples((10, 12), (12, 14))]
    # Two clients; the second round takes thrice as long as the bare one.
    own = [
        samples((0, 2), (0, 4)),
        samples((20, 26), (21, 27), faults=["no reply"]),
    ]
    found = cells.figures(own, bare, batch_size=8)
    assert found == {
        "requests": 4,
        "seconds": 4 + 7,
        "p50_ms": 5000.0,
        "p99_ms": pytest.approx(6000),
        "requests_per_second": pytest.approx(4 / 11),
        "images_per_second": pytest.approx(32 / 11),
        "p50_of_bare": 3.0,
        # 2/4 against 2/2, and 2/7 against 2/4.
        "images_of_bare": pytest.approx((0.5 + 4 / 7) / 2),
        "faults": ["no reply"],
    }


def cell(what, clients, p50, images, share, faults=()):
    return {
        "what": what,
        "batch_size": 1,
        "clients": clients,
        "p50_ms": p50,
        "p99_ms": 2 * p50,
        "requests_per_second": images,
        "images_per_second": images,
        "p50_of_bare": p50,
        "images_of_bare": share,
        "faults": list(faults),
    }


def test_aims_and_faults_are_told():
    text = report.table(
        [
            cell("bare session", 1, 1.0, 100.0, 1.0),
            cell("gRPC", 1, 1.4, 70.0, 0.7),
            cell("bare session", 32, 1.0, 50.0, 1.0),
            cell("gRPC", 32, 1.0, 30.0, 0.6, ["a fault", "a fault"]),
        ]
    )
    assert "1.40 times the bare call at p50 (aim reached: at most 1.5)" in text
    assert "60 % of the images/s of as many bare calls (aim missed" in text
    assert "30 % of the best of the bare session." in text
    assert text.endswith(
        "2 requests failed or got a wrong answer, first of all:\na fault"
    )
    soak = {
        "requests": 9,
        "faults": [],
        "resident_mib": [90, 100, 99, 101, 103],
    }
    assert "+3.0 % after the first quarter (aim missed" in report.soak(soak)
    soak["resident_mib"] = []
    assert report.soak(soak) == "9 requests: 0 errors or wrong answers."


@pytest.fixture
def made(exported, tmp_path):
    return RequestMaker(exported.version, "tiny", tmp_path).make(2)


def test_wrong_answers_are_found(made):
    payload = made[FLOATS][0]
    with np.load(payload.answer_file) as file:
        right = {name: array.tolist() for name, array in file.items()}
    assert payload.fault(json.dumps({"outputs": right}).encode()) is None
    other = {**right, "rate": [r + 1 for r in right["rate"]]}
    fault = payload.fault(json.dumps({"outputs": other}).encode())
    assert fault == "REST, floats: a wrong answer, rate differs"
    other = {"rate": right["rate"]}
    fault = payload.fault(json.dumps({"outputs": other}).encode())
    assert "expected the outputs ['distortion', 'in_range'" in fault
    # The requests in turn are not each other's.
    with np.load(made[FLOATS][1].answer_file) as file:
        other = {name: array.tolist() for name, array in file.items()}
    assert payload.fault(json.dumps({"outputs": other}).encode())


@pytest.mark.parametrize("kind", [GRPC, FLOATS, BYTES])
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\xff garbage",
        b"5",
        b"[" * 10**5,
        b'{"outputs": 5}',
        b'{"outputs": {"rate": "x", "image_bytes": [{"b64": "?"}, 1]}}',
        b"\x0a\x05\x0a\x01y\x12\x00",
    ],
)
def test_answers_of_something_else_are_faults(made, kind, reply):
    assert made[kind][0].fault(reply).startswith(f"{kind}: ")


@pytest.mark.parametrize(
    "reply",
    [
        b"no HTTP",
        b"HTTP/1.1 200 OK\r\n\r\nno JSON",
        b"HTTP/1.1 200 OK\r\n\r\n[5]",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 10**5,
        b'HTTP/1.1 200 OK\r\n\r\n{"model_version_status": 5}',
        b'HTTP/1.1 200 OK\r\n\r\n{"model_version_status": [5, {}]}',
    ],
)
def test_a_status_of_something_else_is_no_model(reply):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert not is_available(url, "m")
        thread.join()


def test_pictures_may_differ_by_a_rounding(made):
    payload: Payload = made[BYTES][0]
    with np.load(payload.answer_file) as file:
        rate, files = file["rate"].tolist(), list(file["image_bytes"])

    def reply(change):
        pictures = []
        for data in files:
            image = PIL.Image.open(io.BytesIO(base64.b64decode(data)))
            pixels = np.asarray(image).astype(int)
            pixels[0, 0, 0] += change if pixels[0, 0, 0] < 128 else -change
            out = io.BytesIO()
            PIL.Image.fromarray(pixels.astype("uint8")).save(out, "png")
            pictures.append({"b64": base64.b64encode(out.getvalue()).decode()})
        outputs = {"rate": rate, "image_bytes": pictures}
        return json.dumps({"outputs": outputs}).encode()

    assert payload.fault(reply(0)) is None
    assert payload.fault(reply(1)) is None
    assert "image_bytes differs" in payload.fault(reply(2))


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        benchmark.main([str(a) for a in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch-sizes", "0"], "expected batch sizes, clients and rounds"),
        (["--requests", "-1"], "received: requests=-1, soak=0"),
        (["--requests", "0"], "expected requests or a soak"),
        (["--seconds", "0"], "and seconds=0"),
        (["--urls", "localhost:8500"], "as grpc://HOST:PORT or http://"),
        (["--urls", "grpc://localhost"], "as grpc://HOST:PORT or http://"),
        (["--urls", "http://[::1"], "as grpc://HOST:PORT or http://"),
        (["--urls", "http://[::1]:99999"], "as grpc://HOST:PORT or http://"),
        (["--urls", "http://h:x"], "as grpc://HOST:PORT or http://"),
        (["--urls", "grpc://:1", "--remote"], "as grpc://HOST:PORT or http"),
        (["--urls", "http://192.0.2.1:80"], "--remote allows it"),
        (["--urls", "grpc://localhost:1", "--threads", "9"], "received both"),
        (["--model", "none/such"], "expected --model to be a model's folder"),
    ],
)
def test_wrong_arguments_are_one_sentence(capsys, arguments, words):
    assert words in refusal(capsys, *arguments)


def test_without_an_export_it_says_how_to_make_one(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert "export one with: python -m export.saved_model" in refusal(capsys)


def test_the_newest_export_is_taken(tmp_path):
    for name, version, age in (("a", 9, 50), ("a", 10, 30), ("b", 1, 40)):
        folder = tmp_path / name / str(version)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").touch()
        os.utime(folder, (time.time() - age,) * 2)
    # No version of a server's, which counts to 2^63 - 1.
    (tmp_path / "a" / "20240101120000000000").mkdir()
    assert [p.name for p in examples.versions(tmp_path / "a")] == ["9", "10"]
    assert benchmark.newest_model(tmp_path) == tmp_path / "a"
    assert benchmark.newest_version(tmp_path / "a") == tmp_path / "a" / "10"


def test_a_model_of_another_kind(capsys, tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    line = refusal(capsys, "--model", tmp_path)
    assert "expected a model of pictures of export.saved_model" in line


@pytest.mark.slow
def test_a_server_that_is_not_there(exported, tmp_path, capsys):
    url = f"grpc://127.0.0.1:{free_port()}"
    file = tmp_path / "figures" / "of.json"
    line = refusal(
        capsys,
        *("--model", exported.path.parent),
        *("--urls", url),
        *("--json-file", file),
    )
    assert f"received from {url}: gRPC: UNAVAILABLE: " in line
    assert not file.parent.exists()


@pytest.mark.slow
def test_a_batch_size_that_the_model_does_not_answer(
    exported, tmp_path, capsys
):
    file = tmp_path / "figures" / "of.json"
    line = refusal(
        capsys,
        *("--model", exported.path.parent),
        *("--urls", f"grpc://127.0.0.1:{free_port()}"),
        *("--batch-sizes", 1, 2000),
        *("--json-file", file),
    )
    assert line.startswith("error: expected batch sizes that the model answers")
    assert "received: 2000 (" in line
    assert line.count("\n") == 1
    assert not file.parent.exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_ends_it_before_the_measuring(
    exported, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(cells, "require_right_answers", lambda *_: None)
    (tmp_path / "file").touch()
    line = refusal(
        capsys,
        *("--model", exported.path.parent),
        *("--urls", f"grpc://127.0.0.1:{free_port()}"),
        *("--batch-sizes", 1),
        *("--json-file", tmp_path / "file" / "of.json"),
    )
    assert str(tmp_path / "file") in line


@pytest.mark.slow
def test_a_server_with_another_model(exported, tmp_path, capsys):
    serving_models.image(tmp_path / "1")
    with serving_models.running(tmp_path, "tiny") as server:
        url = f"http://127.0.0.1:{server.rest_port}"
        text = refusal(capsys, "--model", exported.path.parent, "--urls", url)
    assert f"received from {url}: REST, floats: HTTP 400" in text


def test_sigterm_ends_the_server_too(exported):
    """A benchmark that is ended from outside leaves no server behind."""
    started = []

    def end_it():
        while not started:
            time.sleep(0.05)
            children = psutil.Process().children()
            started.extend(c for c in children if SERVER in c.cmdline())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_it).start()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--model", str(exported.path.parent)])
    assert ended.value.code == 143
    assert not psutil.pid_exists(started[0].pid)
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_while_the_server_starts_ends_it_too(exported, monkeypatch):
    started = []

    class EndedWhileItStarts(subprocess.Popen):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            started.append(self.pid)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", EndedWhileItStarts)
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--model", str(exported.path.parent)])
    assert ended.value.code == 143
    assert not psutil.pid_exists(started[0])
