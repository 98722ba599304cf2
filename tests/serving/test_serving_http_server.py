"""HTTP around the REST API: bodies, odd clients, bounds."""

import gzip
import http.client
import json
import socket
import threading
import time

import pytest
import serving_models
from serving_models import ask

from serving.embedded.apis import rest

BIG = 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("http")
    serving_models.image(base / "3")
    with serving_models.running(base, max_request_bytes=BIG) as running:
        yield running


def predict(server, body, target="/v1/models/m:predict", **headers):
    return ask(server, "POST", target, json.dumps(body), headers)


def test_gzipped_bodies(server):
    body = {"signature_name": "total", "inputs": [1, 2]}
    zipped = gzip.compress(json.dumps(body).encode())
    header = {"Content-Encoding": "gzip"}
    target = "/v1/models/m:predict"
    assert ask(server, "POST", target, zipped, header) == (
        200,
        {"outputs": 3.0},
    )
    bomb = gzip.compress(b" " * (BIG + 1))
    for broken in (b"no gzip", zipped[:-9], bomb):
        assert ask(server, "POST", target, broken, header) == (
            400,
            {"error": "JSON Parse error: The document is empty"},
        )


def test_inflating_is_bounded():
    body = b"x" * 1000
    assert rest.inflate(gzip.compress(body), 1000) == body
    assert rest.inflate(gzip.compress(body), 999) == b""


@pytest.mark.parametrize("cut", [None, 30, -12])
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_upgrade_that_is_offered_is_passed_over(server, protocol, cut):
    """Java's HttpClient and `curl --http2` offer HTTP/2 with each request."""
    body = b'{"signature_name": "total", "inputs": [1, 2], "upgrade": 1}'
    request = (
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAA\r\n"
        b"Content-Length: %d\r\nUpgrade: %s\r\n\r\n%s"
        % (len(body), protocol.encode(), body)
    )
    with socket.create_connection(("127.0.0.1", server.rest_port)) as s:
        s.settimeout(5)
        for _ in range(2):  # on one connection
            for part in (request[:cut], request[cut:] if cut else b""):
                s.sendall(part)
                time.sleep(0.05)
            answer = http.client.HTTPResponse(s)
            answer.begin()
            assert answer.status == 200
            assert json.loads(answer.read()) == {"outputs": 3.0}


def test_a_body_that_is_too_large(server):
    status, reply = ask(server, "POST", "/v1/models/m:predict", "x" * BIG * 5)
    assert status == 413
    assert f"larger than {BIG} bytes" in reply["error"]


def test_clients_that_leave(server):
    """Broken off in every phase; the server answers the next one."""
    length = b"Content-Length: 1000\r\n\r\n"
    for text in (
        b"",
        b"POS",
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\n",
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\n" + length,
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\n" + length + b"{",
        b"GET /v1/models/m HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00 no http",
    ):
        with socket.create_connection(("127.0.0.1", server.rest_port)) as s:
            s.sendall(text)
    assert ask(server, "GET", "/v1/models/m")[0] == 200


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/models/\xff HTTP/1.1",
        b"GET /v1/models/%ff%00 HTTP/1.1",
        b"GET /v1/models/m# HTTP/1.1",
        b"GET http://h/v1/models/m HTTP/1.1",
        b"GET * HTTP/1.1",
        b"nonsense",
    ],
)
def test_odd_request_lines(server, line):
    with socket.create_connection(("127.0.0.1", server.rest_port)) as s:
        s.sendall(line + b"\r\nHost: h\r\nConnection: close\r\n\r\n")
        s.settimeout(5)
        status = int(s.recv(100).split()[1])
    assert status == 200 or 400 <= status < 500


def test_requests_of_clients_that_left_wait_no_longer(tmp_path):
    serving_models.image(tmp_path / "1")
    slow = b'{"signature_name": "slow", "instances": [3.0]}'
    head = (
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\n"
        b"Content-Length: %d\r\n\r\n" % len(slow)
    )
    with serving_models.running(tmp_path, rest_api_num_threads=1) as server:
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", server.rest_port)) as c:
                c.sendall(head + slow)
                time.sleep(0.05)
        started = time.monotonic()
        status, *_ = serving_models.ask(server, "GET", "/v1/models/m")
        assert status == 200
        # Of 24 seconds the three that run.
        assert time.monotonic() - started < 20


def test_time_and_queue_are_bounded(tmp_path):
    serving_models.image(tmp_path / "1")
    slow = {"signature_name": "slow", "inputs": [3.0]}
    with serving_models.running(
        tmp_path,
        rest_api_num_threads=1,
        max_queued_requests=1,
        rest_api_timeout_in_ms=2000,
    ) as server:
        statuses = []
        threads = [
            threading.Thread(
                target=lambda: statuses.append(predict(server, slow))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    busy = "2 requests are under way, the limit of this server."
    late = "Timed out waiting for notification"
    assert sorted(statuses, key=lambda found: found[0]) == [
        (429, {"error": busy}),
        (429, {"error": busy}),
        (504, {"error": late}),
        (504, {"error": late}),
    ]


def test_a_slow_sender_holds_no_thread_for_ever(tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    with (
        serving_models.running(tmp_path, rest_api_timeout_in_ms=200) as server,
        socket.create_connection(("127.0.0.1", server.rest_port)) as s,
    ):
        s.sendall(
            b"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\n"
            b"Content-Length: 10\r\n\r\n{"
        )
        s.settimeout(5)
        assert b" 408 " in s.recv(1000)
