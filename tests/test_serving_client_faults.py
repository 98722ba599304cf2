"""Servers that die, hang, refuse or talk nonsense, and clients that leave."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import serving_models
from test_architecture import ROOT
from test_serving_server import free_port

from serving.client import Client
from serving.client import DeadlineExceeded
from serving.client import InvalidRequest
from serving.client import NotFound
from serving.client import ResourceExhausted
from serving.client import ServerFault
from serving.client import Unavailable

SCHEMES = ["grpc", "http"]


def address(server, scheme):
    port = server.grpc_port if scheme == "grpc" else server.rest_port
    return f"{scheme}://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("faults")
    serving_models.image(base / "1")
    with serving_models.running(base) as running:
        yield running


@pytest.fixture(params=SCHEMES)
def client(server, request):
    with Client(address(server, request.param), model="m") as made:
        yield made


# A server that dies.


@contextlib.contextmanager
def server_process(base, grpc_port, rest_port):
    with subprocess.Popen(
        [
            sys.executable, "-m", "serving.server", "--model_name=m",
            f"--model_base_path={base}", f"--port={grpc_port}",
            f"--rest_api_port={rest_port}",
        ],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


class Load:
    """A thread that asks without a pause, and notes what it gets."""

    def __init__(self, client, seed):
        self.right = 0
        self.wrong = []
        self.longest = 0.0
        self._client = client
        self._random = np.random.default_rng(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join()

    def wait_for(self, right):
        end = time.monotonic() + 60
        while self.right < right and not self.wrong:
            assert time.monotonic() < end, "the client did not recover"
            time.sleep(0.01)

    def _work(self):
        while not self._stop.is_set():
            rows = int(self._random.integers(1, 9))
            image = self._random.random((rows, 2, 2, 1)).astype("float32")
            beta = self._random.uniform(1, 8, rows).astype("float32")
            start = time.monotonic()
            try:
                found = self._client.predict(
                    "serving_default", {"image": image, "beta": beta}
                )
                np.testing.assert_array_equal(
                    found["reconstruction"], image * beta[:, None, None, None]
                )
            except Exception as error:
                self.wrong.append(repr(error))
                return
            self.longest = max(self.longest, time.monotonic() - start)
            self.right += 1


def test_a_server_killed_under_load_and_started_again(tmp_path):
    serving_models.image(tmp_path / "1")
    ports = free_port(), free_port()
    places = [
        f"{scheme}://127.0.0.1:{port}"
        for scheme, port in zip(SCHEMES, ports, strict=True)
    ]
    with contextlib.ExitStack() as stack:

        def connect(place, **options):
            client = Client(place, model="m", timeout=60, **options)
            return stack.enter_context(client)

        clients = [connect(place) for place in places]
        with server_process(tmp_path, *ports) as process:
            # Started before the server answers.
            for client in clients:
                client.wait_until_ready(timeout=60)
            # Two threads share each client; two have one of their own.
            clients += [*clients, *(connect(place) for place in places)]
            loads = [Load(client, i) for i, client in enumerate(clients)]
            for load in loads:
                stack.callback(load.stop)
                load.wait_for(20)
            process.send_signal(signal.SIGKILL)
            process.wait()
        for place in places:
            impatient = connect(place, retries=0)
            with pytest.raises(Unavailable, match="is the server running"):
                impatient.beta_range()
        before = [load.right for load in loads]
        with server_process(tmp_path, *ports):
            for load, right in zip(loads, before, strict=True):
                load.wait_for(right + 20)
            for load in loads:
                load.stop()
    assert [load.wrong for load in loads] == [[]] * len(loads)
    # Each was in the middle of a call, which waited for the new server.
    assert all(load.longest > 0.5 for load in loads)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_server(scheme):
    place = f"{scheme}://127.0.0.1:{free_port()}"
    with Client(place, model="m", timeout=0.7) as client:
        start = time.monotonic()
        with pytest.raises(Unavailable, match=r"tries in .* s\)"):
            client.encode(np.zeros((1, 2, 2, 1)), 1)
        assert time.monotonic() - start < 5
        with pytest.raises(Unavailable, match=f"at {place}"):
            client.wait_until_ready(timeout=0.3)


# Requests that are too large, or take too long.


def test_messages_above_4_mib(client):
    # Some 5 MiB as JSON, 4 MiB and a little as float32.
    numbers = np.ones(2**20 + 100, np.float32)
    found = client.predict("total", {"x": numbers})
    assert found["total"] == len(numbers)


def test_an_answer_above_4_mib(server):
    rows = 2**18 + 100
    inputs = {
        "image": np.ones((rows, 2, 2, 1), np.float32),
        "beta": np.full(rows, 2, np.float32),
    }
    with Client(address(server, "grpc"), model="m") as client:
        found = client.predict("serving_default", inputs)
    assert found["reconstruction"].shape == (rows, 2, 2, 1)
    assert (found["reconstruction"] == 2).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_batch_that_the_server_does_not_take(tmp_path, scheme):
    serving_models.image(tmp_path / "1")
    with (
        serving_models.running(tmp_path, max_request_bytes=50_000) as running,
        Client(address(running, scheme), model="m", timeout=20) as client,
    ):
        for rows in (20_000, 500_000):
            with pytest.raises(ResourceExhausted, match="send fewer rows"):
                client.predict("total", {"x": np.ones(rows, np.float32)})
        found = client.predict("total", {"x": np.ones(100, np.float32)})
        assert found["total"] == 100


def test_a_batch_that_no_message_holds(client):
    # No memory is taken by it.
    huge = np.broadcast_to(np.float32(1), 2**29)
    with pytest.raises(InvalidRequest, match="at most 2147483647 bytes"):
        client.predict("total", {"x": huge})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_deadline_in_the_middle(server, scheme):
    with Client(address(server, scheme), model="m", timeout=0.5) as client:
        client.metadata()
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="raise the client's time"):
            client.predict("slow", {"seconds": np.float32([3])})
        assert time.monotonic() - start < 2.5
        found = client.predict("total", {"x": np.float32([1, 2])})
        assert found["total"] == 3


# Clients that leave.

LEAVES = """
import sys
import numpy as np
from serving.client import Client
client = Client(sys.argv[1], model="m")
client.metadata()
print("asks", flush=True)
client.predict("slow", {"seconds": np.float32([1])})
"""


def test_a_client_killed_in_the_middle(server):
    place = address(server, "http")
    with subprocess.Popen(
        [sys.executable, "-c", LEAVES, place],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"asks\n"
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
    with Client(place, model="m") as client:
        _ask_something(client)


def test_a_client_closed_in_the_middle(server):
    for scheme in SCHEMES:
        leaving = Client(address(server, scheme), model="m")
        leaving.metadata()
        outcome = []

        def ask(leaving=leaving, outcome=outcome):
            try:
                outcome.append(
                    leaving.predict("slow", {"seconds": np.float32([0.5])})
                )
            except ServerFault as error:
                outcome.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.2)
        leaving.close()
        thread.join()
        assert len(outcome) == 1
        with Client(address(server, scheme), model="m") as client:
            _ask_something(client)


def _ask_something(client):
    inputs = serving_models.image_inputs(1)
    found = client.predict("serving_default", inputs)
    assert found["rate"].tolist() == [6]


# A server that is none of TF Serving's.


class Scripted:
    """Answers one connection after the other with given bytes.

    A reply of None closes the connection at once; a callable is given it.
    """

    def __init__(self, *replies):
        self._replies = list(replies)
        self.asked = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.rest_port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _serve(self):
        while self._replies:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                reply = self._replies.pop(0)
                self.asked.append(connection.recv(2**16).partition(b"\r")[0])
                with contextlib.suppress(OSError):
                    if callable(reply):
                        reply(connection)
                    elif reply:
                        connection.sendall(reply)


def http(body, status="200 OK", length=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\nConnection: close\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode() + body


def tensor(dtype="DT_FLOAT", **shape):
    return {"dtype": dtype, "tensor_shape": shape}


ANY = tensor(dim=[{"size": "-1", "name": ""}])
METADATA = http(
    {
        "model_spec": {"name": "m", "version": "3"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "half": {"inputs": {"x": ANY}, "outputs": {"y": ANY}},
                    "text": {
                        "inputs": {"x": tensor("DT_STRING", unknown_rank=True)},
                        "outputs": {
                            "a": tensor("DT_STRING", unknown_rank=True),
                            "b": tensor("DT_BOOL", unknown_rank=True),
                        },
                    },
                }
            }
        },
    }
)
BUSY = http({"error": "soon"}, "503 Service Unavailable")
ONE = http(b'{"outputs": [NaN]}')
X = {"x": np.float32([1])}


def ask(*replies, timeout=5.0, signature="half", inputs=X, **options):
    """Asks a scripted server, after the metadata."""
    with (
        Scripted(METADATA, *replies) as fake,
        Client(
            address(fake, "http"), model="m", timeout=timeout, **options
        ) as client,
    ):
        try:
            return client.predict(signature, inputs)
        finally:
            ask.requests = [line.split()[0] for line in fake.asked[1:]]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(None, id="closed before an answer"),
        pytest.param(BUSY, id="503"),
        pytest.param(http(b'{"outputs": [1', length=40), id="body cut off"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="head cut off"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
            id="chunk cut off",
        ),
    ],
)
def test_what_is_tried_again(fault):
    found = ask(fault, fault, ONE)
    assert np.isnan(found["y"]).tolist() == [True]
    assert ask.requests == [b"POST"] * 3
    with pytest.raises(Unavailable, match=r"\(2 tries in"):
        ask(fault, fault, ONE, retries=1)


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (http({"error": "bad"}, "400 Bad Request"), InvalidRequest,
         "refused the request: bad"),
        (http({"error": "gone"}, "404 Not Found"), NotFound, "gone"),
        (http(b"<html>proxy</html>", "404 Not Found"), NotFound, "proxy"),
        (http({"error": "full"}, "429 Too Many"), ResourceExhausted, "full"),
        (http({"error": "large"}, "413 Large"), ResourceExhausted, "fewer"),
        (http({"error": "slow"}, "504 Timeout"), DeadlineExceeded, "slow"),
        (http({"error": "bug"}, "500 Error"), ServerFault,
         "failed with INTERNAL: bug"),
        (http({"error": 5}, "418 Teapot"), ServerFault, "HTTP 418: 5"),
        (http(b"", "302 Found"), ServerFault, "HTTP 302"),
        (http(b"no JSON"), ServerFault, "none of TF Serving's"),
        (http(b"\xff"), ServerFault, "none of TF Serving's"),
        (http([1]), ServerFault, "none of TF Serving's"),
        (http({"predictions": [1]}), ServerFault, "KeyError: 'outputs'"),
        (http({"outputs": ["a"]}), ServerFault, "none of TF Serving's"),
        (http({"outputs": [[1]]}), ServerFault,
         r"expected y as float32 \(any\), received: float32 \(1, 1\)"),
        (http({"outputs": [1, 2]}), ServerFault, "2 rows of y for 1 in"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ServerFault, "does not speak HTTP"),
    ],
)  # fmt: skip
def test_what_is_not_tried_again(reply, error, message):
    with pytest.raises(error, match=message):
        ask(reply, ONE, ONE)
    assert ask.requests.count(b"POST") == 1


def test_strings_and_booleans_over_rest():
    inputs = {"x": np.array([[b"\xff", "ä"]], object)}
    reply = {"a": [[{"b64": "/w=="}, "ä"]], "b": [[True, False]]}
    found = ask(http({"outputs": reply}), signature="text", inputs=inputs)
    assert found["a"].tolist() == [[b"\xff", "ä".encode()]]
    assert found["b"].dtype == bool
    for wrong in ({"a": []}, {"a": [], "b": [], "c": []}, {"a": [1], "b": []}):
        with pytest.raises(ServerFault):
            ask(http({"outputs": wrong}), signature="text", inputs=inputs)


def _hangs(connection):
    time.sleep(3)


def _drips(connection):
    connection.sendall(http(b"", length=1000))
    for _ in range(60):
        connection.sendall(b" ")
        time.sleep(0.05)


@pytest.mark.parametrize("fault", [_hangs, _drips])
def test_an_answer_that_takes_too_long(fault):
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="0.5 s"):
        ask(fault, timeout=0.5)
    assert time.monotonic() - start < 2


def test_the_port_of_the_other_api(server):
    wrong = {
        f"grpc://127.0.0.1:{server.rest_port}": "Then use http://127.0.0.1",
        f"http://127.0.0.1:{server.grpc_port}": "Then use grpc://127.0.0.1",
    }
    for place, hint in wrong.items():
        with (
            Client(place, model="m", timeout=5) as client,
            pytest.raises(ServerFault, match=hint),
        ):
            client.metadata()
