"""`python -m serving.server` as a process: flags, start, SIGTERM."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import serving_models
from serving_models import free_port

from serving.embedded import launch
from serving.embedded.options import ServerOptions

ROOT = pathlib.Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "serving.server"]


@contextlib.contextmanager
def process(*arguments, command=COMMAND):
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def get(port, target, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST" if body else "GET", target, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_for(running, port):
    end = time.monotonic() + 300
    while time.monotonic() < end and running.poll() is None:
        with contextlib.suppress(OSError):
            return get(port, "/v1/models/m")
        time.sleep(0.05)
    raise AssertionError(running.communicate()[1])


@pytest.mark.slow
def test_a_wrong_file_ends_with_one_sentence(tmp_path):
    result = subprocess.run(
        [*COMMAND, f"--model_config_file={tmp_path}/none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == (
        f"python -m serving.server: {tmp_path}/none: No such file or "
        "directory\n"
    )


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_keep_the_process(tmp_path):
    serving_models.image(tmp_path / "1")
    port = free_port()
    with process(
        f"--model_base_path={tmp_path}",
        "--model_name=m",
        f"--rest_api_port={port}",
        "--port=0",
        "--drain_seconds=1",
    ) as running:
        assert wait_for(running, port)[0] == 200
        slow = '{"signature_name": "slow", "instances": [60.0]}'

        def ask():
            with contextlib.suppress(OSError, http.client.HTTPException):
                get(port, "/v1/models/m:predict", slow)

        threading.Thread(target=ask, daemon=True).start()
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        assert running.wait(120) == 0


@pytest.mark.slow
def test_several_models_labels_metrics_and_a_drain_at_sigterm(tmp_path):
    serving_models_dir = tmp_path / "m"
    serving_models_dir.mkdir()
    serving_models.image(serving_models_dir / "1")
    other = tmp_path / "half"
    other.mkdir()
    serving_models.half_plus(2, other / "7")
    serving_models.half_plus(3, other / "8")
    (tmp_path / "models.config").write_text(
        f"""
        model_config_list {{
          config {{
            name: "m" base_path: "{serving_models_dir}"
            model_platform: "tensorflow"
          }}
          config {{
            name: "half" base_path: "{other}" model_platform: "tensorflow"
            model_version_policy {{ all {{}} }}
            version_labels {{ key: "stable" value: 7 }}
          }}
        }}
        """
    )
    (tmp_path / "monitoring.config").write_text(
        'prometheus_config { enable: true path: "/metrics" }'
    )
    port = free_port()
    with process(
        f"--model_config_file={tmp_path}/models.config",
        f"--monitoring_config_file={tmp_path}/monitoring.config",
        "--allow_version_labels_for_unavailable_models",
        "--port=0",
        f"--rest_api_port={port}",
    ) as running:
        assert wait_for(running, port)[0] == 200
        stable = "/v1/models/half/labels/stable:predict"
        status, text = get(port, stable, '{"instances": [2]}')
        assert (status, json.loads(text)) == (200, {"predictions": [3.0]})
        assert b":tensorflow:serving:request_count" in get(port, "/metrics")[1]

        slow = '{"signature_name": "slow", "instances": [3.0]}'
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(
                get(port, "/v1/models/m:predict", slow)
            )
        )
        thread.start()
        time.sleep(1)
        running.send_signal(signal.SIGTERM)
        thread.join()
        assert running.wait(120) == 0
        assert answers[0][0] == 200
        log = running.stderr.read().splitlines()
    with pytest.raises(OSError):  # noqa: PT011 (any refusal will do)
        get(port, "/v1/models/m")
    # One line for each thing that happened, and none of TensorFlow's own.
    assert "A development and test server" in log[0]
    assert all(line.startswith("20") for line in log)
    loads = [line for line in log if " Loaded {name: half" in line]
    assert len(loads) == 2
    assert log[-1].endswith("Stopped.")


@pytest.mark.slow
def test_a_missing_base_path_is_told_and_waited_for(tmp_path):
    port, base = free_port(), tmp_path / "m"
    with process(
        "--model_name=m",
        f"--model_base_path={os.path.relpath(base, ROOT)}",
        "--port=0",
        f"--rest_api_port={port}",
    ) as running:
        for line in running.stderr:
            if "Could not find base path" in line:
                break
        assert f"base path {base} for servable m" in line
        aside = tmp_path / "aside"
        aside.mkdir()
        serving_models.half_plus(2, aside / "1")
        aside.rename(base)
        assert wait_for(running, port)[0] == 200


@pytest.mark.slow
def test_a_model_that_cannot_load_and_a_port_that_is_taken(tmp_path):
    (tmp_path / "1").mkdir()
    with process(
        f"--model_base_path={tmp_path}",
        "--max_num_load_retries=0",
        f"--port={free_port()}",
        "--rest_api_port=0",
    ) as running:
        assert running.wait(300) == 1
        last = running.stderr.read().splitlines()[-1]
    assert last.startswith(
        "python -m serving.server: Failed to start server. Error: UNKNOWN: 1 "
        "servable(s) did not become available: {{{name: default version: 1} "
        "due to error: NOT_FOUND: Could not find SavedModel"
    )


@pytest.mark.slow
@pytest.mark.parametrize("front", ["port", "rest_api_port"])
def test_a_taken_port(tmp_path, front):
    serving_models.half_plus(2, tmp_path / "1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"port": None, "rest_api_port": None, front: port}
        with pytest.raises(OSError, match=f"port {port} is taken"):
            serving_models.make_server(tmp_path, **ports)


@pytest.mark.slow
def test_sigterm_before_there_is_a_model(tmp_path):
    with process(
        f"--model_base_path={tmp_path}/none",
        "--port=0",
        f"--rest_api_port={free_port()}",
    ) as running:
        for line in running.stderr:
            if "Could not find base path" in line:
                break
        running.send_signal(signal.SIGTERM)
        assert running.wait(120) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "argument", "loaded"),
    [
        ("serving.server", "--model_base_path=/none", "_asyncio"),
        ("serving.server", "--model_base_path=/none", "tensorflow"),
        ("serving.page", "--model=m", "numpy"),
        ("serving.demo", "--models=/none", "_asyncio"),
    ],
)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)]
)
def test_a_signal_while_it_is_imported(module, argument, loaded, number, code):
    command = [sys.executable, "-m", module]
    with process(argument, command=command) as running:
        files = pathlib.Path(f"/proc/{running.pid}/maps")
        while loaded not in files.read_text() and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(number)
        assert running.wait(120) == code
        assert running.stderr.read() == ""


def labelled(base):
    return (
        f'model_config_list {{ config {{ name: "m" base_path: "{base}" '
        'model_platform: "tensorflow" '
        'version_labels { key: "stable" value: 1 } } }'
    )


@pytest.mark.slow
def test_labels_at_a_start_need_a_flag(tmp_path):
    file = tmp_path / "models.config"
    file.write_text(labelled(tmp_path))
    with process(f"--model_config_file={file}") as running:
        assert running.wait(300) == 1
        last = running.stderr.read().splitlines()[-1]
    assert "FAILED_PRECONDITION: Request to assign label to version 1" in last
    assert "--allow_version_labels_for_unavailable_models" in last


def test_a_changed_models_config_is_read_again(tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    file = tmp_path / "models.config"
    file.write_text(labelled(tmp_path).replace("version_labels", "#"))
    stop = threading.Event()
    options = ServerOptions(
        model_config_file=str(file), model_config_file_poll_wait_seconds=0.02
    )
    with serving_models.running(tmp_path) as server:
        thread = threading.Thread(
            target=launch.follow, args=(options, server, stop)
        )
        thread.start()
        file.write_text("broken")
        time.sleep(0.05)
        file.write_text(labelled(tmp_path))
        target = "/v1/models/m/labels/stable:predict"
        for _ in range(200):
            status, _ = get(server.rest_port, target, '{"instances": [1]}')
            if status == 200:
                break
            time.sleep(0.02)
        stop.set()
        thread.join()
    assert status == 200


def test_values_over_both_apis_are_equal(tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    with serving_models.running(tmp_path) as server:
        body = '{"instances": [0.1, 0.7]}'
        _, text = get(server.rest_port, "/v1/models/m:predict", body)
    expected = np.float32([0.1, 0.7]) / 2 + np.float32(2)
    found = np.float32(json.loads(text)["predictions"])
    np.testing.assert_array_equal(found, expected)
