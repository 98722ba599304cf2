"""The client follows the served version: its betas, shapes, absence."""

import pathlib
import time
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import serving_models
import tensorflow as tf
from serving_models import address
from waiting import eventually

from serving.client import Client
from serving.client import InvalidRequest
from serving.client import NotFound
from serving.client import Unavailable
from serving.client import served

REFUSED = "beta in the range, received: beta=2"


class _Betas(tf.Module):
    """decode = latent * beta, for betas of a range or for single ones.

    As an export with `--invalid-rows flag`, it answers bad rows with NaN.
    """

    def __init__(self, betas, interval, latent_size):
        super().__init__()
        spec = tf.TensorSpec
        beta_spec = spec([None], tf.float32, name="beta")
        latent_spec = spec([None, latent_size], tf.float32, name="latent")
        betas = tf.constant(betas, tf.float32)

        def in_range(beta):
            if interval:
                return (beta >= betas[0]) & (beta <= betas[-1])
            return tf.reduce_any(beta[:, None] == betas, 1)

        ends = betas if not interval else tf.stack([betas[0], betas[-1]])
        ranges = tf.stack([ends, ends], -1)
        ranges = tf.reshape(ends, [1, 2]) if interval else ranges
        words = "in the range" if interval else "one of single values"

        @tf.function(input_signature=[spec([None], tf.int32, name="rows")])
        def loss_parameters(rows):
            found = {
                "name": ["beta"],
                "trained": [words],
                "scale": ["log"],
                "description": [""],
                "low": betas[:1],
                "high": betas[-1:],
                "default": betas[:1],
                "ranges": ranges[None],
            }
            return {n: tf.convert_to_tensor(v)[None] for n, v in found.items()}

        @tf.function(input_signature=[latent_spec, beta_spec])
        def decode(latent, beta):
            beta = tf.where(in_range(beta), beta, np.nan)
            return {"image": latent * beta[:, None]}

        self.served = {"loss_parameters": loss_parameters, "decode": decode}


def publish(target, betas, interval=True, latent_size=2):
    module = _Betas(betas, interval, latent_size)
    aside = pathlib.Path(target).with_name(f".tmp-{target.name}")
    tf.saved_model.save(module, str(aside), signatures=module.served)
    aside.rename(target)


def clients(server, **options):
    return [
        Client(address(server, scheme), model="m", **options)
        for scheme in ("grpc", "http")
    ]


def ends(client):
    beta = client.metadata().loss_parameters["beta"]
    return beta.low, beta.high


def wait_for_version(server, version):
    with Client(address(server, "http"), model="m") as watcher:
        eventually(lambda: watcher.metadata().version == version)


@pytest.fixture
def now(monkeypatch):
    """What the client takes for the time: the one entry of a list."""
    seconds = [1000.0]
    clock = types.SimpleNamespace(monotonic=lambda: seconds[0])
    monkeypatch.setattr(served, "time", clock)
    return seconds


def test_new_versions_are_followed(tmp_path, monkeypatch):
    publish(tmp_path / "1", [1, 8])
    with serving_models.running(tmp_path) as server:
        both = clients(server)
        for client in both:
            assert ends(client) == (1, 8)
            with pytest.raises(InvalidRequest, match="beta=64"):
                client.decode([[1, 2]], 64)

        publish(tmp_path / "2", [16, 64], latent_size=3)
        wait_for_version(server, 2)
        # What they know does not count as too old; they must not refuse on the
        # strength of it.
        monkeypatch.setattr(served, "_RECENT_SECONDS", 1000)
        for client in both:
            found = client.decode([[1, 2, 3]], 64)
            np.testing.assert_array_equal(found, [[64, 128, 192]])
            assert ends(client) == (16, 64)
            with pytest.raises(InvalidRequest, match=REFUSED):
                client.decode([[1, 2, 3]], 2)
            client.close()


def test_what_is_known_is_not_older_than_a_second(tmp_path, now):
    """Or the graph would answer with NaN what the client may refuse."""
    publish(tmp_path / "1", [1, 8])
    with serving_models.running(tmp_path) as server:
        both = clients(server)
        for client in both:
            client.decode([[1, 2]], 2)
        publish(tmp_path / "2", [16, 64])
        wait_for_version(server, 2)
        for client in both:
            assert np.isnan(client.decode([[1, 2]], 2)).all()
        now[0] += 1.1
        for client in both:
            with pytest.raises(InvalidRequest, match=REFUSED):
                client.decode([[1, 2]], 2)
            client.close()


def test_threads_wait_for_the_one_that_asks(tmp_path, monkeypatch, now):
    """None goes on with what was known long ago."""
    publish(tmp_path / "1", [1, 8])
    with serving_models.running(tmp_path) as server:
        both = clients(server)
        for client in both:
            client.decode([[1, 2]], 2)
        publish(tmp_path / "2", [16, 64])
        wait_for_version(server, 2)
        now[0] += 20
        for client in both:
            transport = client._connection._transport
            asked, real = [], transport.metadata

            def slow(*given, real=real, asked=asked):
                asked.append(given)
                time.sleep(0.3)
                return real(*given)

            monkeypatch.setattr(transport, "metadata", slow)
            with ThreadPoolExecutor(8) as pool:
                # The default of each version is its lowest.
                found = list(
                    pool.map(
                        lambda _, c=client: c.predict(
                            "decode", {"latent": np.ones((1, 2), "float32")}
                        )["image"][0, 0],
                        range(8),
                    )
                )
            assert found == [16] * 8
            assert len(asked) == 1
            client.close()


def test_another_model_comes_under_the_number_unseen(tmp_path, now):
    """While a client was idle: no call of it has failed."""
    for name, betas in {"a": [1, 8], "b": [16, 64]}.items():
        (tmp_path / name).mkdir()
        publish(tmp_path / name / "1", betas)
    with serving_models.running(tmp_path / "a") as server:
        ports = {"port": server.grpc_port, "rest_api_port": server.rest_port}
        both = clients(server, timeout=5)
        for client in both:
            found = client.predict(
                "decode", {"latent": np.ones((1, 2), "float32")}
            )
            np.testing.assert_array_equal(found["image"], [[1, 1]])
    with serving_models.running(tmp_path / "b", **ports):
        now[0] += 3
        for client in both:
            found = client.predict(
                "decode", {"latent": np.ones((1, 2), "float32")}
            )
            np.testing.assert_array_equal(found["image"], [[16, 16]])
            assert ends(client) == (16, 64)
            client.close()


def test_another_model_under_the_same_number(tmp_path):
    """A development server that was started again on another export."""
    for name, betas in {"a": [1, 8], "b": [16, 64]}.items():
        (tmp_path / name).mkdir()
        publish(tmp_path / name / "1", betas)
    with serving_models.running(tmp_path / "a") as server:
        ports = {"port": server.grpc_port, "rest_api_port": server.rest_port}
        both = clients(server, timeout=5)
        impatient = clients(server, timeout=5, retries=0)
        for client in both + impatient:
            client.decode([[1, 2]], 2)
    for client in impatient:
        with pytest.raises(Unavailable):
            client.decode([[1, 2]], 2)
    with serving_models.running(tmp_path / "b", **ports):
        for client in impatient:
            client.wait_until_ready(10)
            assert ends(client) == (16, 64)
            client.close()
        for client in both:
            # Refused by what was known, which is asked for again.
            found = client.decode([[1, 2]], 64)
            np.testing.assert_array_equal(found, [[64, 128]])
            assert ends(client) == (16, 64)
            client.close()


def test_single_betas(tmp_path):
    publish(tmp_path / "1", [1, 4, 16], interval=False)
    with serving_models.running(tmp_path) as server:
        for client in clients(server):
            assert ends(client) == (1, 16)
            found = client.decode([[1, 2], [3, 4]], [4, 16])
            np.testing.assert_array_equal(found, [[4, 8], [48, 64]])
            for beta in (2, 0.5):
                with pytest.raises(
                    InvalidRequest,
                    match=f"beta one of single values, received: beta={beta}",
                ):
                    client.decode([[1, 2], [3, 4]], [4, beta])
            client.close()


@pytest.mark.parametrize(
    "betas",
    [
        # The middle, by any rule, is a trained value itself.
        [1, np.float32(1 + 15 / np.e), 16],
        [1, *np.linspace(1.5, 15.5, 29), 16],
        [1, *np.geomspace(1.1, 15, 29), 16],
    ],
)
def test_single_betas_are_no_range_wherever_they_lie(betas, tmp_path):
    publish(tmp_path / "1", betas, interval=False)
    with serving_models.running(tmp_path) as server:
        for client in clients(server):
            found = client.decode([[1, 2]], betas[1])
            np.testing.assert_allclose(found, [[betas[1], 2 * betas[1]]])
            with pytest.raises(InvalidRequest, match="one of single values"):
                client.decode([[1, 2]], 3.21)
            client.close()


def test_a_model_that_is_no_export_of_ours(tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    with serving_models.running(tmp_path) as server:
        for client in clients(server):
            found = client.predict("serving_default", {"x": [4]})
            assert found["y"].tolist() == [4]
            for call in (
                lambda client=client: client.reconstruct([[1.0]], 1),
                lambda client=client: client.predict(
                    "serving_default", {"x": [4]}, {"beta": 1}
                ),
            ):
                with pytest.raises(NotFound, match="model has serving_default"):
                    call()
            client.close()
