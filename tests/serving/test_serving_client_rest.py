"""What the client makes of answers over HTTP, broken ones included."""

import contextlib
import copy
import json
import os
import pickle
import socket
import threading
import time

import numpy as np
import pytest
import serving_models
from serving_models import address

from serving.client import Client
from serving.client import DeadlineExceeded
from serving.client import InvalidRequest
from serving.client import NotFound
from serving.client import ResourceExhausted
from serving.client import ServerFault
from serving.client import Unavailable
from serving.client import connection
from serving.client import json_values
from serving.client import metadata
from serving.client import rest
from serving.client import retry
from serving.client.rest import RestTransport
from serving.client.target import Target


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
    time.sleep(6)


def _drips(connection):
    connection.sendall(http(b"", length=1000))
    for _ in range(120):
        connection.sendall(b" ")
        time.sleep(0.05)


def test_a_process_that_was_forked_has_connections_of_its_own(tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    with (
        serving_models.running(tmp_path) as server,
        Client(serving_models.address(server, "http"), "m") as client,
    ):
        name = "serving_default"
        client.predict(name, {"x": np.float32([1])})
        pool = client._connection._transport._connections()
        # What `os.getpid` says is all that a fork changes of it.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            assert client._connection._transport._connections() is not pool
            found = client.predict(name, {"x": np.float32([4])})
        np.testing.assert_allclose(found["y"], [4.0])


def test_a_copy_of_a_client_asks_the_same():
    one = Client("http://127.0.0.1:8501", "m", label="l", timeout=3, retries=2)
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert other is not one
        assert other._arguments == one._arguments


def test_the_last_try_is_at_the_end_of_the_time():
    tries, now = [], [100.0]

    def unavailable(seconds):
        tries.append(deadline.left())
        raise Unavailable("none")

    def sleep(seconds):
        now[0] += seconds

    with pytest.MonkeyPatch.context() as patch:
        # Of a clock that only a pause moves.
        patch.setattr(time, "monotonic", lambda: now[0])
        patch.setattr(time, "sleep", sleep)
        deadline = retry.Deadline(10.0)
        with pytest.raises(Unavailable, match="none .*tries in 10.0 s"):
            retry.call(unavailable, deadline)
    assert now[0] == pytest.approx(110.0)
    assert tries[-1] == pytest.approx(0.1)


@pytest.mark.parametrize(("seconds", "each"), [(0.5, 0.5), (3, 1), (40, 10)])
def test_an_address_that_says_nothing_leaves_time_for_others(seconds, each):
    assert rest._connect_seconds(seconds) == each


def test_complex_numbers_go_over_grpc():
    with pytest.raises(InvalidRequest, match="x over gRPC.*complex64"):
        RestTransport(Target.parse("http://127.0.0.1", "m")).predict(
            None, "half", None, {"x": np.complex64([1j])}, 1.0
        )


@pytest.mark.parametrize("fault", [_hangs, _drips])
def test_an_answer_that_takes_too_long(fault):
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="0.5 s"):
        ask(fault, timeout=0.5)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", ["1", "2"]),
        ("float32", [None, 1.0]),
        ("float32", [True, False]),
        ("uint8", [1.7]),
        ("uint8", [300]),
        ("uint8", [-1]),
        ("int64", [2**70]),
        ("bool", [1, 0]),
    ],
)
def test_what_is_no_number_of_the_dtype_is_not_taken_for_one(dtype, value):
    with pytest.raises(ValueError, match=f"expected {dtype}, received: "):
        json_values.from_json(value, metadata.TensorSpec(dtype, (None,)))


def test_numbers_of_any_form_are_read_exactly():
    for dtype, value in (
        ("float32", [1, 0.1, float("nan"), float("inf")]),
        ("uint8", [0, 255]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("bool", [True, False]),
        ("float32", []),
    ):
        found = json_values.from_json(
            value, metadata.TensorSpec(dtype, (None,))
        )
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.array(value, dtype))


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float32", (None, 256), (0, 256)),
        ("int64", (None, None, 3), (0, 0, 3)),
        ("string", (None, 1), (0, 1)),
        ("float32", (None,), (0,)),
        ("float32", None, (0,)),
    ],
)
def test_an_answer_of_no_rows_has_the_shape_of_its_output(
    dtype, shape, expected
):
    found = json_values.from_json([], metadata.TensorSpec(dtype, shape))
    assert found.shape == expected


def test_no_rows_of_which_json_tells_no_shape_are_not_sent():
    with pytest.raises(InvalidRequest, match=r"or more rows of x.*\(0, 2\)"):
        ask(signature="text", inputs={"x": np.empty((0, 2), object)})
    assert len(ask.requests) == 0


def test_an_output_without_rows_is_no_fault():
    signature = metadata.Signature(
        {"x": metadata.TensorSpec("float32", (None,))},
        {
            "w": metadata.TensorSpec("float32", (5,)),
            "y": metadata.TensorSpec("float32", (None,)),
        },
    )
    given = {"x": np.zeros(2, "float32")}
    right = {"w": np.zeros(5, "float32"), "y": np.zeros(2, "float32")}
    connection._check_outputs(right, given, signature, "t")
    wrong = {**right, "y": np.zeros(3, "float32")}
    with pytest.raises(ServerFault, match="3 rows of y for 2"):
        connection._check_outputs(wrong, given, signature, "t")
