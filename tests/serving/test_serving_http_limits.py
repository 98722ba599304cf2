"""What a client of the REST port may send, and how long it may take."""

import contextlib
import json
import socket
import time

import pytest
import serving_models
from serving_models import ask

from serving.embedded.apis.http_limits import MAX_PIPELINED

SECONDS = 0.3
# Within it all ends that has a limit of SECONDS, on a busy machine, too; the
# limit that a server has by itself is longer.
SOON = 25
BIG = 100_000
POST = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\n"
GET = b"GET /v1/models/m HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    serving_models.image(folder / "1")
    return folder


def limited(base, seconds):
    return serving_models.running(
        base,
        port=None,
        rest_api_num_threads=1,
        max_queued_requests=1,
        rest_api_timeout_in_ms=1000 * seconds,
        max_request_bytes=BIG,
    )


@pytest.fixture(scope="module")
def server(base):
    with limited(base, SECONDS) as running:
        yield running


@pytest.fixture(scope="module")
def patient(base):
    """One whose limit of time is never reached."""
    with limited(base, 600) as running:
        yield running


@contextlib.contextmanager
def connected(server, sent=b""):
    with socket.create_connection(("127.0.0.1", server.rest_port), 60) as s:
        s.sendall(sent)
        yield s


def received(connection):
    """All that comes until the server ends the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(2**16):
            parts.append(part)
    return b"".join(parts)


def status_of(reply):
    return int(reply.split()[1])


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /v1/mod",
        GET,
        GET + b"X-Long: " + b"x" * 1000,
        POST + b"Content-Length: 10\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",
    ],
)
def test_what_does_not_arrive_is_given_up(server, sent):
    start = time.monotonic()
    with connected(server, sent) as connection:
        reply = received(connection)
    assert status_of(reply) == 408
    assert json.loads(reply.split(b"\r\n\r\n")[1]) == {
        "error": f"The request did not arrive in {SECONDS} s."
    }
    assert SECONDS * 0.9 < time.monotonic() - start < SOON


@pytest.mark.parametrize(
    "rest", [b"GET /v1/mod", POST + b"Content-Length: 10\r\n\r\n{"]
)
def test_what_comes_with_the_request_before_has_a_limit_too(server, rest):
    start = time.monotonic()
    with connected(server, GET + b"\r\n" + rest) as connection:
        reply = received(connection)
    first, second = reply.split(b"HTTP/1.1 ")[1:]
    assert (first[:3], second[:3]) == (b"200", b"408")
    assert time.monotonic() - start < SOON


def test_an_answer_that_is_due_does_not_count_as_waiting(base):
    """The next request is read only when it is sent."""
    slow = b'{"signature_name": "slow", "instances": [0.9]}'
    length = b"Content-Length: %d\r\n\r\n" % len(slow)
    close = GET + b"Connection: close\r\n\r\n"
    with (
        limited(base, 2) as server,
        connected(server, (POST + length + slow) * 3 + close) as connection,
    ):
        reply = received(connection)
    codes = [part[:3] for part in reply.split(b"HTTP/1.1 ")[1:]]
    assert codes[-1] == b"200"
    assert len(codes) == 4
    assert b"408" not in codes


def test_bytes_that_trickle_win_no_time(server):
    start = time.monotonic()
    with connected(server, POST + b"Content-Length: 1000\r\n\r\n") as slow:
        with contextlib.suppress(OSError):
            while time.monotonic() - start < SOON:
                slow.sendall(b"1")
                time.sleep(0.02)
    assert time.monotonic() - start < SOON


def test_unfinished_requests_take_no_place(patient):
    """Many times as many as the server has places for."""
    unfinished = (POST + b"Content-Length: 10\r\n\r\n{", POST, b"")
    with contextlib.ExitStack() as stack:
        for number in range(60):
            stack.enter_context(connected(patient, unfinished[number % 3]))
        assert ask(patient, "GET", "/v1/models/m")[0] == 200
        body = {"signature_name": "total", "inputs": [1, 2]}
        found = ask(patient, "POST", "/v1/models/m:predict", json.dumps(body))
        assert found == (200, {"outputs": 3.0})


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"GET /v1/", b"x" * 1000),
        (GET + b"X: ", b"x" * 1000),
        (GET, b"X: y\r\n" * 200),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 200),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n1",
            b";" + b"x" * 1000,
        ),
    ],
)
def test_the_head_of_a_request_is_bounded(patient, start, part):
    sent = 0
    with connected(patient, start) as connection:
        connection.settimeout(1)
        with contextlib.suppress(OSError):
            while sent < 50 * 2**20:
                connection.sendall(part)
                sent += len(part)
        with contextlib.suppress(OSError):
            reply = received(connection)
            assert not reply or status_of(reply) == 431
    # What one read of the server takes, and the buffers of the two sockets.
    assert sent < 10 * 2**20


def test_a_head_that_is_too_large_is_told(patient):
    with connected(patient, GET + b"X: " + b"x" * 70_000) as connection:
        reply = received(connection)
    assert status_of(reply) == 431
    assert b"Request head larger than 65536 bytes" in reply


def test_many_small_requests_on_one_connection(patient):
    """Whatever comes at once, each has limits of its own."""
    one = GET + b"X: " + b"x" * 10_000 + b"\r\n\r\n"
    with connected(patient, one * 20 + GET + b"Connection: close\r\n\r\n") as c:
        assert received(c).count(b"HTTP/1.1 200 OK") == 21


def test_requests_before_an_answer_are_bounded(patient):
    """A megabyte of them, of which none is kept but a few."""
    with connected(patient, GET + b"\r\n") as connection:
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            for _ in range(20):
                connection.sendall((GET + b"\r\n") * 1000)
        reply = received(connection)
    assert reply.count(b"HTTP/1.1 200 OK") <= MAX_PIPELINED + 2
    assert ask(patient, "GET", "/v1/models/m")[0] == 200


def test_bodies_that_are_read_together_are_bounded(patient):
    head = POST + b"Content-Length: %d\r\n\r\n" % BIG
    body = json.dumps({"signature_name": "total", "inputs": [1]}).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(9):
            stack.enter_context(connected(patient, head + b" " * (BIG - 1)))
        for _ in range(100):
            found = ask(patient, "POST", "/v1/models/m:predict", body)
            if found[0] != 200:
                break
        assert found == (
            429,
            {
                "error": f"Requests of {8 * BIG} bytes are under way, the "
                "limit of this server."
            },
        )
        assert ask(patient, "GET", "/v1/models/m")[0] == 200
    for _ in range(100):
        if ask(patient, "POST", "/v1/models/m:predict", body)[0] == 200:
            return
        time.sleep(0.01)
    raise AssertionError("the bytes of clients that left are still counted")


def test_a_reply_that_nobody_fetches_is_given_up(server):
    words = ["x" * 1000] * 95
    body = json.dumps({"signature_name": "upper", "inputs": words}).encode()
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", server.rest_port))
        with contextlib.suppress(OSError):
            # More than the buffers of the system hold.
            for _ in range(60):
                lazy.sendall(POST + length + body)
        time.sleep(2 * SECONDS)
        lazy.settimeout(5)
        got = received(lazy)
    assert got.count(b"HTTP/1.1 200 OK") < 60
