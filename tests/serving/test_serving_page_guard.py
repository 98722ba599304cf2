"""What the page's web server refuses, asked over HTTP as it is launched."""

import json
import os
import socket
import time
from pathlib import Path

import pytest
import serving_pages
import urllib3

from serving.page import __main__ as page_command
from serving.page import guard
from serving.page import uploads
from yoto_tf.errors import InputError

JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
KNOB = {"name": "beta", "value": 3.0, "low": 0.5, "high": 512.0}
SLIDER = {"knobs": [KNOB], "moved": 0}


class Page:
    """Asks a page like a browser: every request names where it is from."""

    def __init__(self, address):
        self.address = address
        self.host = address.removeprefix("http://")
        config = json.loads(self.ask("GET", "/config").data)
        self.events = {
            target[1]: event["id"]
            for event in config["dependencies"]
            for target in event["targets"]
        }

    def ask(self, method, path, headers=None, **more):
        headers = {"Host": self.host, **(headers or {})}
        return urllib3.request(
            method,
            self.address + path,
            headers=headers,
            retries=False,
            redirect=False,
            **more,
        )

    def upload(self, content=b"picture", name="x.png", headers=None):
        return self.ask(
            "POST", UPLOAD, headers, fields={"files": (name, content)}
        )

    def join(self, event, data, headers=None, **more):
        body = {
            "data": data,
            "fn_index": self.events[event],
            "session_hash": "s",
            **more,
        }
        return self.ask("POST", JOIN, headers, json=body)

    def completed(self):
        """The answer of the event that waits."""
        answer = self.ask(
            "GET", "/gradio_api/queue/data?session_hash=s", preload_content=0
        )
        for line in answer:
            if b"process_completed" in line:
                return json.loads(line.removeprefix(b"data: "))
        raise AssertionError("no answer")


@pytest.fixture(scope="module")
def page():
    # No server: what passes the guard ends in the page's banner.
    with serving_pages.launched(
        "grpc://127.0.0.1:1", "tiny", 0, hosts=("page.example.org",)
    ) as address:
        yield Page(address)


@pytest.fixture
def looked_up(monkeypatch):
    """Names that the process asks the network for."""
    names = []
    real = socket.getaddrinfo

    def look_up(host, *args, **kwargs):
        names.append(host)
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


def stored():
    return [p for p in uploads.folder().path.rglob("*") if p.is_file()]


def file(path):
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


# Host and Origin.


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("page.example.org", 200),
        ("evil.example", 400),
        ("evil.example:{port}", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost.evil.example:{port}", 400),
        ("page.example.org.evil.example", 400),
        ("0.0.0.0:{port}", 400),
        ("[::ffff:1.2.3.4]", 400),
        ("evil.example@127.0.0.1", 400),
        ("", 400),
    ],
)
def test_only_the_pages_own_names_are_answered(page, host, status):
    host = host.format(port=page.host.split(":")[1])
    for path in ("/", "/config", "/theme.css"):
        assert page.ask("GET", path, {"Host": host}).status == status
    before = len(stored())
    content = host.encode() + b"of its own"
    assert page.upload(content, headers={"Host": host}).status == status
    assert len(stored()) - before == (status == 200)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", None),
        ("http://127.0.0.1", None),
        ("http://127.0.0.1:1", None),
        ("http://localhost", "localhost:7860"),
        ("http://localhost:7860", None),
        ("http://page.example.org.evil.example", None),
        ("http://[", None),
        ("null", None),
        ("", None),
    ],
)
def test_other_web_sites_cannot_send_anything(page, origin, host):
    headers = {"Origin": origin, "Host": host or page.host}
    before = stored()
    assert page.upload(headers=headers).status == 403
    assert page.join("input", [None, SLIDER], headers).status == 403
    assert page.ask("GET", "/config", headers).status == 403
    assert stored() == before


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("{own}", "{own}"),
        ("http://localhost:9000", "localhost:9000"),
        ("https://page.example.org", "page.example.org"),
        # A proxy that names this machine as the host.
        ("https://page.example.org:8443", "{own}"),
        # A program.
        ("", "{own}"),
    ],
)
def test_the_page_itself_can(page, origin, host):
    headers = {"Host": host.format(own=page.host)}
    if origin:
        headers["Origin"] = origin.format(own=page.address)
    answer = page.upload(b"own picture", headers=headers)
    assert answer.status == 200
    [path] = json.loads(answer.data)
    assert Path(path).read_bytes() == b"own picture"
    assert uploads.folder().holds(path)
    joined = page.join("upload", [file(path), SLIDER], headers)
    assert joined.status == 200
    # The event ran: it found no server.
    done = page.completed()
    assert done["success"]
    assert "gives no answer" in json.dumps(done["output"])


def test_names_of_a_proxy_are_names():
    given = ["Page.Example.org", "10.0.0.7", "::1", "[fe80::1]", "box"]
    assert guard.host_names(given) == (
        "page.example.org",
        "10.0.0.7",
        "[::1]",
        "[fe80::1]",
        "box",
    )
    for wrong in ("*", "*.example.org", "a:80", "http://a", "", "a b", "a/b"):
        with pytest.raises(InputError, match="expected --page-hosts as names"):
            guard.host_names([wrong])


def test_a_wrong_name_ends_with_one_sentence(capsys):
    with pytest.raises(SystemExit) as ended:
        page_command.main(["--model", "m", "--page-hosts", "http://a"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: expected --page-hosts as names")
    assert said.count("\n") == 1


# What Gradio offers beside the page.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/file={etc}"),
        ("GET", "/gradio_api/file%3D{etc}"),
        ("GET", "/gradio_api/file/{etc}"),
        ("GET", "//gradio_api/file={etc}"),
        ("GET", "/gradio_api/file=http://name.example/x.png"),
        ("HEAD", "/gradio_api/file=http://name.example/x.png"),
        ("GET", "/gradio_api/proxy=https://name.hf.space/x"),
        ("GET", "/gradio_api/deep_link?session_hash=s"),
        ("GET", "/gradio_api/info"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/mcp/sse"),
        ("POST", "/gradio_api/run/answer"),
        ("POST", "/gradio_api/call/answer"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/stream/s"),
        ("POST", "/login"),
        ("PUT", "/config"),
        ("DELETE", "/"),
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(
    page, looked_up, method, path
):
    answer = page.ask(method, path.format(etc="/etc/passwd"), json={})
    assert answer.status == 404
    assert b"root:" not in answer.data
    assert set(looked_up) <= {"127.0.0.1"}


@pytest.mark.parametrize("path", ["assets", "static", "svelte"])
def test_the_pages_own_files_do_not_lead_to_others(page, path):
    for way in ("../" * 12, "..%2f" * 12, "/"):
        answer = page.ask("GET", f"/{path}/{way}etc/passwd")
        assert answer.status in (403, 404)
        assert b"root:" not in answer.data


@pytest.mark.parametrize(
    "path",
    [
        "http://name.example/x.png",
        "HTTPS://name.example/x.png",
        "http://127.0.0.1:1/x.png",
        "ftp://name.example/x.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "/etc/passwd",
        "passwd",
        "{folder}",
        "{folder}/../../etc/passwd",
        "{folder}-other/x.png",
        "",
        "\0",
        ["http://name.example/x.png"],
    ],
)
def test_events_name_no_file_but_an_upload(page, looked_up, path):
    if isinstance(path, str):
        path = path.format(folder=uploads.folder().path)
    before = stored()
    for event, data in [
        ("upload", [file(path), SLIDER]),
        # Gradio looks for files in the values of all components.
        ("input", [None, file(path)]),
        ("input", [None, {**SLIDER, "knobs": [file(path)]}]),
        ("upload", [[file(path)], SLIDER]),
    ]:
        assert page.join(event, data).status == 403
        more = {"event_data": file(path)}
        assert page.join("tick", [SLIDER, SLIDER], **more).status == 403
    assert set(looked_up) <= {"127.0.0.1"}
    assert stored() == before


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000], ids=range(4)
)
def test_events_that_are_no_json_are_refused(page, body):
    headers = {"Content-Type": "application/json"}
    assert page.ask("POST", JOIN, headers, body=body).status == 400


# Sizes.


def test_events_that_the_page_does_not_send_are_one_sentence(page, capfd):
    for slider in ({}, None, 3.0, {"knobs": [{}]}):
        answer = page.join("input", [None, slider])
        assert answer.status == 400
        assert answer.data.startswith(b"expected ")
    assert page.join("input", [None, SLIDER]).status == 200
    assert page.completed()["success"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "query",
    [
        "?session_hash=unknown",
        "?session_hash=",
        "",
        "?session_hash=s&session_hash=unknown",
        "?session_hash=%ff%00",
        "?session_hash[]=s",
    ],
)
def test_answers_that_nobody_waits_for_are_not_found(page, capfd, query):
    answer = page.ask("GET", "/gradio_api/queue/data" + query)
    assert answer.status == 404
    assert answer.data == b"no event of this session_hash is waiting"
    assert page.join("input", [None, SLIDER]).status == 200
    assert page.completed()["success"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "line", [b"X: " + b"a" * 10_000 + b"\r\n", b"a" * 10_000]
)
def test_headers_are_bounded(page, line):
    host, port = page.host.split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        # As many as the buffers of both systems hold are sent unread.
        with pytest.raises(ConnectionError):
            connection.sendall(line * 10_000)
    assert page.ask("GET", "/config", {"X": "a" * 50_000}).status == 200


def test_bodies_are_refused_by_their_size_before_they_are_sent(page):
    for path, limit in [(UPLOAD, 52_494_336), (JOIN, 262_144)]:
        with socket.create_connection(page.host.split(":")) as raw:
            raw.sendall(
                f"POST {path} HTTP/1.1\r\nHost: {page.host}\r\n"
                f"Content-Length: {limit + 1}\r\n\r\n".encode()
            )
            assert b" 413 " in raw.recv(100)
        pieces = page.ask("POST", path, body=iter([b"a", b"b"]))
        assert pieces.status == 411


def test_one_picture_over_the_limit_is_not_kept(page, monkeypatch):
    monkeypatch.setattr(guard, "_MAX_BYTES", {UPLOAD: 10**9})
    before = stored()
    answer = page.upload(bytes(guard.MAX_PICTURE_BYTES + 1))
    assert answer.status in (413, 503)
    assert stored() == before


def test_the_page_refuses_uploads_beyond_the_total(page, monkeypatch):
    monkeypatch.setattr(uploads.folder(), "_max_bytes", 10_000)
    for path in stored():
        path.unlink()
    statuses = [page.upload(bytes(3000), f"{i}.png").status for i in range(5)]
    assert statuses == [200, 200, 200, 503, 503]
    assert sum(p.stat().st_size for p in stored()) == 9000
    for path in stored()[:2]:
        os.utime(path, (1, 1))
    assert page.upload(bytes(3000), "again.png").status == 200
    assert sum(p.stat().st_size for p in stored()) <= 9000


def test_the_page_refuses_more_uploads_than_it_keeps(page, monkeypatch):
    for path in stored():
        path.unlink()
    monkeypatch.setattr(uploads.folder(), "_max_files", 2)
    statuses = [page.upload(bytes(30), f"{i}.png").status for i in range(3)]
    assert statuses == [200, 200, 503]
    assert len(stored()) == 2
    os.utime(stored()[0], (1, 1))
    assert page.upload(bytes(30), "again.png").status == 200
    assert len(stored()) == 2


# The folder.


def aged(folder, name, size, seconds):
    path = folder / name / "x.png"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_the_oldest_uploads_make_room(tmp_path):
    folder = uploads.UploadFolder(tmp_path, max_bytes=100, max_files=3)
    old = aged(tmp_path, "old", 40, 900)
    older = aged(tmp_path, "older", 40, 1000)
    with folder.room_for(20):
        assert old.exists()
        assert older.exists()
    with folder.room_for(30):
        assert old.exists()
        assert not older.parent.exists()
        # Two at a time share the room.
        with folder.room_for(60):
            assert not old.exists()
        with pytest.raises(uploads.Full, match="try again in 60 seconds"):
            with folder.room_for(71):
                pass
    with folder.room_for(100):
        pass
    fresh = [aged(tmp_path, f"fresh{i}", 1, 5) for i in range(3)]
    with pytest.raises(uploads.Full):
        with folder.room_for(1):
            pass
    os.utime(fresh[1], (1, 1))
    with folder.room_for(1):
        assert [p.exists() for p in fresh] == [True, False, True]


def test_a_folder_holds_what_lies_inside(tmp_path):
    folder = uploads.UploadFolder(tmp_path / "in")
    assert folder.holds(f"{tmp_path}/in/a/b.png")
    assert folder.holds(f"{tmp_path}/in/a/../b.png")
    for other in ("in2/b.png", "in/../b.png", "b.png"):
        assert not folder.holds(f"{tmp_path}/{other}")
    assert not folder.holds(None)
