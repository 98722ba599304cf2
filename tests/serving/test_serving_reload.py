"""New versions and new configurations of a running server."""

import contextlib
import errno
import gc
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import serving_models
import tensorflow as tf
from collector import no_collector
from serving_fakes import spec_of
from serving_grpc_client import INVALID
from serving_grpc_client import Client
from serving_grpc_client import error_of
from serving_grpc_client import request_of
from tensorflow_serving.apis import model_management_pb2
from waiting import eventually

from serving.embedded.versions.table import State


def test_reload(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for base, constant in ((first, 2), (second, 3)):
        base.mkdir()
        serving_models.half_plus(constant, base / "1")
    request = request_of({"x": np.float32([2])}, name="second")
    with serving_models.running(first, "first") as server:
        client = Client(server.grpc_port)
        with client.channel:
            reply = client.reload(("first", first), ("second", second))
            assert reply.status.error_code == 0
            assert client.predict(request).outputs["y"].float_val[0] == 4
            client.reload(("second", second))
            assert client.predict(request).outputs["y"].float_val[0] == 4

            nothing = model_management_pb2.ReloadConfigRequest()
            reload = client.model.HandleReloadConfigRequest
            assert error_of(reload, nothing) == (
                INVALID,
                "ServerModelConfig type not supported by "
                "HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported",
            )
            assert error_of(client.reload, ("a", "relative")) == (
                INVALID,
                "Expected model a to have an absolute path or URI; got "
                "base_path()=relative",
            )
            # TF Serving hangs here; this one stops with its client's time.
            missing = ("missing", tmp_path / "missing")
            with pytest.raises(grpc.RpcError) as caught:
                client.reload(missing, timeout=0.3)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert client.predict(request).outputs["y"].float_val[0] == 4


@pytest.mark.slow
def test_a_new_version_takes_over_under_load(tmp_path):
    serving_models.half_plus(1, tmp_path / "1")
    request = request_of({"x": np.float32([0])})
    with serving_models.running(tmp_path) as server:
        client = Client(server.grpc_port)
        answers, done = [], threading.Event()

        def ask():
            while not done.is_set():
                reply = client.predict(request)
                version = reply.model_spec.version.value
                answers.append((version, reply.outputs["y"].float_val[0]))

        def has(expected):
            found = client.status("m").model_version_status
            return expected == {s.version: s.State.Name(s.state) for s in found}

        with client.channel:
            thread = threading.Thread(target=ask)
            thread.start()
            eventually(lambda: answers)
            serving_models.half_plus(2, tmp_path / "2")
            eventually(lambda: has({1: "END", 2: "AVAILABLE"}))
            (tmp_path / "3").mkdir()
            eventually(lambda: has({1: "END", 2: "AVAILABLE", 3: "END"}))
            done.set()
            thread.join()
            failed = client.status("m", 3).model_version_status[0].status
    assert failed.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert "Could not find SavedModel" in failed.error_message
    assert set(answers) == {(1, 1.0), (2, 2.0)}
    assert answers[-1] == (2, 2.0)


def states(server):
    found = server.manager.table.states(spec_of())
    return {s.version: State.Name(s.state) for s in found}


def graphs():
    return sum(type(o) is tf.Graph for o in gc.get_objects())


@contextlib.contextmanager
def collections():
    """A list that gets an entry whenever a collection has ended."""
    ended = []

    def note(phase, info):
        if phase == "stop":
            ended.append(info)

    gc.callbacks.append(note)
    try:
        yield ended
    finally:
        gc.callbacks.remove(note)


def test_the_graphs_of_versions_that_ended_are_freed(tmp_path):
    """Though the collector, as in a server, does not come by itself."""
    serving_models.half_plus(1, tmp_path / "1")
    with (
        no_collector(),
        serving_models.running(tmp_path) as server,
        collections() as ended,
    ):
        before = graphs()

        def wait_for(version, state):
            eventually(lambda: states(server).get(version) == state)
            # Counted then alone: who counts holds every object meanwhile, and
            # what is held while the server collects is not freed.
            eventually(lambda: ended)
            ended.clear()
            assert graphs() <= before

        for version in (2, 3, 4):
            serving_models.half_plus(version, tmp_path / f"{version}")
            wait_for(version, "AVAILABLE")
        (tmp_path / "5").mkdir()
        wait_for(5, "END")


def refused(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_the_ports_open_when_all_models_serve(tmp_path):
    """So a probe that only connects tells the truth, as with TF Serving."""
    server = serving_models.make_server(tmp_path)
    ports = server.grpc_port, server.rest_port
    starting = threading.Thread(target=server.start)
    starting.start()
    try:
        for _ in range(20):
            assert all(map(refused, ports))
            time.sleep(0.01)
        serving_models.half_plus(2, tmp_path / "1")
        starting.join(60)
        assert not starting.is_alive()
        assert not any(map(refused, ports))
        assert serving_models.ask(server, "GET", "/v1/models/m")[0] == 200
    finally:
        server.stop()
    assert all(map(refused, ports))


@pytest.mark.parametrize("front", ["grpc", "rest"])
def test_a_port_that_is_taken_while_the_models_load(tmp_path, front):
    serving_models.half_plus(2, tmp_path / "1")
    server = serving_models.make_server(tmp_path)
    port = getattr(server, f"{front}_port")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(OSError, match=f"port {port} is taken"):
            server.start()
        server.stop()
