"""Servers that die, hang, refuse or talk nonsense, and clients that leave."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import serving_models
from serving_models import address
from serving_models import free_port

from serving.client import Client
from serving.client import DeadlineExceeded
from serving.client import InvalidRequest
from serving.client import ResourceExhausted
from serving.client import ServerFault
from serving.client import ServingError
from serving.client import Unavailable

ROOT = pathlib.Path(__file__).parents[2]
SCHEMES = ["grpc", "http"]


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


@pytest.mark.slow
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
                impatient.metadata()
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
        assert time.monotonic() - start < 25
        with pytest.raises(Unavailable, match=f"at {place}"):
            client.wait_until_ready(timeout=1)


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
    place = address(server, scheme)
    with (
        Client(place, model="m", timeout=0.5) as hasty,
        Client(place, model="m") as client,
    ):
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="raise the client's time"):
            hasty.predict("slow", {"seconds": np.float32([5])})
        assert time.monotonic() - start < 4.5
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
                    leaving.predict("slow", {"seconds": np.float32([2])})
                )
            except ServingError as error:
                outcome.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.2)
        leaving.close()
        thread.join()
        # Over HTTP, what is under way is still answered.
        assert scheme == "http" or "was closed" in outcome[0]
        with Client(address(server, scheme), model="m") as client:
            _ask_something(client)


def _ask_something(client):
    inputs = serving_models.image_inputs(1)
    found = client.predict("serving_default", inputs)
    assert found["rate"].tolist() == [6]


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
