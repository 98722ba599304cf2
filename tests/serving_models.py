"""Tiny SavedModels and a running server, for the tests of `serving`."""

import contextlib
import functools
import http.client
import json
import pathlib
import shutil
import socket
import tempfile

import numpy as np
import tensorflow as tf

from serving.embedded import model_config
from serving.embedded.options import ServerOptions
from serving.embedded.server import EmbeddedServer

FAST = {
    "port": 0,
    "rest_api_port": 0,
    "file_system_poll_wait_seconds": 0.05,
    "max_num_load_retries": 0,
    "load_retry_interval_micros": 50_000,
}


class _HalfPlus(tf.Module):
    """y = x / 2 + c, TF Serving's own test model with another constant."""

    def __init__(self, constant: float):
        super().__init__()
        self.constant = tf.Variable(constant)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": x / 2 + self.constant}


class _Image(tf.Module):
    """An image and a beta of each row, checked in the graph."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2, 2, 1], tf.float32, name="image"),
            tf.TensorSpec([None], tf.float32, name="beta"),
        ]
    )
    def reconstruct(self, image, beta):
        image = tf.ensure_shape(image, [None, 2, 2, 1])
        beta = tf.ensure_shape(beta, [None])
        checks = [
            tf.debugging.assert_equal(
                tf.shape(image)[0], tf.shape(beta)[0], "one beta for each row"
            ),
            tf.debugging.assert_non_negative(beta, "beta must be >= 0"),
        ]
        with tf.control_dependencies(checks):
            scaled = image * beta[:, None, None, None]
        return {
            "reconstruction": scaled,
            "rate": tf.reduce_sum(scaled, [1, 2, 3]),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
        ]
    )
    def upper(self, text):
        return {"upper": tf.strings.upper(text), "raw_bytes": text}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="text")]
    )
    def tail(self, text):
        """Fails for short texts, and quotes them."""
        return {"tail": tf.strings.substr(text, 5, 1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float16, name="x")])
    def half(self, x):
        return {"y": x, "z": tf.cast(x, tf.float32)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int8, name="small"),
            tf.TensorSpec([None], tf.uint64, name="large"),
            tf.TensorSpec([None], tf.bool, name="flag"),
            tf.TensorSpec([None], tf.int64, name="long"),
            tf.TensorSpec([None], tf.float64, name="double"),
        ]
    )
    def echo(self, small, large, flag, long, double):
        return {
            "small": tf.identity(small),
            "large": tf.identity(large),
            "flag": tf.identity(flag),
            "long": tf.identity(long),
            "double": tf.identity(double),
        }

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, name="seconds")]
    )
    def slow(self, seconds):
        """Computes for about as many seconds as asked, in the graph."""
        end = tf.timestamp() + tf.cast(tf.reduce_max(seconds), tf.float64)
        turns = tf.while_loop(
            lambda turn: tf.timestamp() < end,
            lambda turn: [turn + 1],
            [tf.constant(0)],
        )
        return {"turns": tf.fill(tf.shape(seconds), turns[0])}

    @tf.function
    def nothing(self):
        return {"one": tf.ones([1])}


@functools.cache
def _saved(kind: str) -> pathlib.Path:
    """A saved model, written once for each kind and process."""
    directory = tempfile.TemporaryDirectory(prefix="serving-models-")
    _KEEP.append(directory)
    path = pathlib.Path(directory.name) / "model"
    if kind == "image":
        module = _Image()
        signatures = {
            "serving_default": module.reconstruct,
            "upper": module.upper,
            "tail": module.tail,
            "total": module.total,
            "half": module.half,
            "echo": module.echo,
            "slow": module.slow,
            "nothing": module.nothing.get_concrete_function(),
        }
    else:
        module = _HalfPlus(float(kind))
        signatures = {"serving_default": module.__call__}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


_KEEP = []  # the directories live as long as the process


def half_plus(constant: float, target: pathlib.Path) -> None:
    """Puts a version of y = x / 2 + constant at a path, in one step."""
    _publish(str(float(constant)), target)


def image(target: pathlib.Path) -> None:
    """Puts a version with many signatures at a path, in one step."""
    _publish("image", target)


def _publish(kind: str, target: pathlib.Path) -> None:
    aside = target.with_name(f".tmp-{target.name}")
    shutil.copytree(_saved(kind), aside)
    aside.rename(target)


def make_server(base: pathlib.Path, name: str = "m", **options):
    """A server, not started, for the model under one base path."""
    return EmbeddedServer(
        model_config.single_model(name, str(base)),
        ServerOptions(**(FAST | options)),
    )


@contextlib.contextmanager
def running(base: pathlib.Path, name: str = "m", **options):
    """A server on free ports for the model under one base path."""
    with make_server(base, name, **options) as server:
        yield server


def image_inputs(batch: int = 2) -> dict[str, np.ndarray]:
    """Valid inputs of the image model: values that floats hold exactly."""
    return {
        "image": np.arange(batch * 4, dtype=np.float32).reshape(-1, 2, 2, 1),
        "beta": np.arange(1, batch + 1, dtype=np.float32),
    }


def address(server, scheme):
    """Where a client finds a server."""
    port = server.grpc_port if scheme == "grpc" else server.rest_port
    return f"{scheme}://127.0.0.1:{port}"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(server, method, target, body=None, headers=None):
    """Sends one request; gives the status and the body, parsed if JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port)
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        text = response.read()
        if response.headers["Content-Type"] == "application/json" and text:
            text = json.loads(text)
        return response.status, text
    finally:
        connection.close()
