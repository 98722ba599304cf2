"""The client against the embedded server and a real export, on both APIs."""

import concurrent.futures
import io
import json
import pathlib
import subprocess
import sys
import threading

import export_runs
import numpy as np
import PIL.Image
import pytest
import serving_models
from google.protobuf import text_format
from serving_models import address
from tensorflow_serving.config import model_server_config_pb2

from serving import client as serving_client
from serving.client import Client
from serving.client import InvalidRequest
from serving.client import NotFound
from serving.client import Unavailable
from serving.embedded.options import ServerOptions
from serving.embedded.server import EmbeddedServer
from yoto_tf.data.preprocessing import to_square

SIZE, LATENTS = export_runs.SIZE, export_runs.LATENTS
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
ROOT = pathlib.Path(__file__).parents[2]
SCHEMES = ["grpc", "http"]


@pytest.fixture(scope="module")
def exported():
    return export_runs.exported("bernoulli", "error")


@pytest.fixture(scope="module")
def server(exported):
    """Two models: one refuses bad rows, one answers them with NaN."""
    lenient = export_runs.exported("gaussian", "flag")
    config = text_format.Parse(
        "".join(
            f'''config {{
                name: "{name}"
                base_path: "{made.path.parent}"
                model_platform: "tensorflow"
                version_labels {{ key: "stable" value: 1 }}
            }}'''
            for name, made in {"tiny": exported, "lenient": lenient}.items()
        ),
        model_server_config_pb2.ModelConfigList(),
    )
    options = ServerOptions(
        port=0,
        rest_api_port=0,
        allow_version_labels_for_unavailable_models=True,
    )
    with EmbeddedServer(config, options) as running:
        yield running


@pytest.fixture(scope="module", params=SCHEMES)
def client(server, request):
    with Client(address(server, request.param), model="tiny") as made:
        made.wait_until_ready()
        yield made


@pytest.fixture(
    scope="module",
    params=[(s, m) for s in SCHEMES for m in ("tiny", "lenient")],
    ids=":".join,
)
def any_client(server, request):
    scheme, model = request.param
    with Client(address(server, scheme), model=model) as made:
        yield made


def test_metadata(client):
    metadata = client.metadata()
    assert metadata.version == 1
    assert "__saved_model_init_op" not in metadata.signatures
    assert sorted(metadata.signatures) == [
        "curve", "decode", "encode", "loss_parameters", "reconstruct",
        "reconstruct_bytes", "sample", "serving_default",
    ]  # fmt: skip
    spec = serving_client.TensorSpec
    assert metadata.signatures["reconstruct_bytes"] == serving_client.Signature(
        {
            "beta": spec("float32", (None,)),
            "image_bytes": spec("string", (None,)),
        },
        {
            "image_bytes": spec("string", (None,)),
            "rate": spec("float32", (None,)),
        },
    )
    with pytest.raises(AttributeError):
        metadata.version = 2


def test_loss_parameters(any_client):
    (beta,) = any_client.metadata().loss_parameters.values()
    assert (beta.name, beta.low, beta.high) == ("beta", 0.5, 512.0)
    assert (beta.default, beta.scale) == (16.0, "log")
    assert beta.ranges == ((0.5, 512.0),)
    assert beta.trained == "between 0.5 and 512"
    assert beta.description.startswith("The price of a nat of rate.")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_reconstruct(exported, client, dtype):
    images, betas = export_runs.images(3), export_runs.betas(3)
    if dtype == "uint8":
        images = (images * 255).astype("uint8")
    found = client.reconstruct(images.astype(dtype), betas)
    expected = exported.model.reconstruct(images, betas)
    np.testing.assert_allclose(found.reconstruction, expected, **CLOSE)
    unit = images / np.float32(255) if dtype == "uint8" else images
    inside = exported.ask("reconstruct", image=unit, beta=betas)
    np.testing.assert_allclose(found.rate, inside["rate"], rtol=1e-4)
    np.testing.assert_allclose(
        found.distortion, inside["distortion"], rtol=1e-4
    )
    assert found.in_range.tolist() == [True] * 3
    found.reconstruction[:] = 0  # the caller's own


def test_one_beta_for_all_rows(exported, client):
    images = export_runs.images(2)
    found = client.encode(images, 4)
    mean, stddev = exported.model.encode(images, 4)
    np.testing.assert_allclose(found.mean, mean, **CLOSE)
    np.testing.assert_allclose(found.stddev, stddev, **CLOSE)


def test_decode_and_sample(exported, client):
    latents, betas = export_runs.latents(3), export_runs.betas(3)
    expected = exported.model.decode(latents, betas)
    for found in (client.decode(latents, betas), client.sample(latents, betas)):
        np.testing.assert_allclose(found, expected, **CLOSE)


def test_curve(exported, client):
    images, betas = export_runs.images(2), np.float32([1, 8, 64])
    found = client.curve(images, betas)
    assert found.reconstruction.shape == (2, 3, SIZE, SIZE, 3)
    for k, beta in enumerate(betas):
        single = client.reconstruct(images, beta)
        np.testing.assert_allclose(
            found.reconstruction[:, k],
            exported.model.reconstruct(images, beta),
            **CLOSE,
        )
        np.testing.assert_allclose(found.rate[:, k], single.rate, rtol=1e-4)
        np.testing.assert_allclose(
            found.distortion[:, k], single.distortion, rtol=1e-4
        )
    own = client.curve(images, [[1, 8], [64, 1]])
    np.testing.assert_allclose(own.rate[0], found.rate[0, [0, 1]], rtol=1e-4)
    np.testing.assert_allclose(own.rate[1], found.rate[1, [2, 0]], rtol=1e-4)


def test_reconstruct_bytes(exported, client):
    sent = [export_runs.png(seed=1), export_runs.png(40, 50, seed=2)]
    files, rate = client.reconstruct_bytes(sent, [1.0, 64.0])
    pictures = np.stack([to_square(_pixels(file), SIZE) for file in sent])
    expected = client.reconstruct(pictures, [1.0, 64.0])
    found = np.stack([_pixels(file) for file in files]) / 255
    assert np.abs(found - expected.reconstruction).max() < 1.01 / 255
    np.testing.assert_allclose(rate, expected.rate, rtol=1e-3)


def _pixels(file):
    return np.asarray(PIL.Image.open(io.BytesIO(file)))


def test_predict_runs_any_signature(exported, client):
    latents = export_runs.latents(3)
    for given in ({"beta": 4.0}, {"beta": [4, 4, 4]}):
        found = client.predict("decode", {"latent": latents}, given)
        expected = exported.model.decode(latents, 4.0)
        np.testing.assert_allclose(found["image"], expected, **CLOSE)
    # The default, which is the middle of log(beta).
    for found in (
        client.predict("decode", {"latent": latents})["image"],
        client.decode(latents),
    ):
        expected = exported.model.decode(latents, 16.0)
        np.testing.assert_allclose(found, expected, **CLOSE)
    # What stands in the inputs is left to the server.
    raw = {"latent": latents, "beta": np.full(3, 1000, "float32")}
    with pytest.raises(InvalidRequest, match="refused the request.*beta"):
        client.predict("decode", raw)


IMAGES = export_runs.images(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.reconstruct(IMAGES, 1000),
         "expected beta between 0.5 and 512, received: beta=1000"),
        (lambda c: c.reconstruct(IMAGES, [1, np.nan]), "received: beta=nan"),
        (lambda c: c.encode(IMAGES, [1, 2, 3]), r"shape \(2,\), received: "),
        (lambda c: c.encode(IMAGES[0], 1), r"send images\[None\]"),
        (lambda c: c.encode(IMAGES[:, :8], 1),
         r"\(batch, 32, 32, 3\), received: images.shape=\(2, 8, 32, 3\)"),
        (lambda c: c.encode(IMAGES * 255, 1), r"in \[0, 1\], received: values"),
        (lambda c: c.decode(np.zeros((2, 3)), 1), r"shape \(batch, 4\)"),
        (lambda c: c.sample(np.full((1, 4), np.inf), 1), "finite noise"),
        (lambda c: c.curve(IMAGES, [1, 1000]), "received: beta=1000"),
        (lambda c: c.reconstruct_bytes([export_runs.png()], 0), "beta=0"),
        (lambda c: c.encode(IMAGES, 1, {"tc": 1}),
         r"among \['beta'\], received: \['tc'\]"),
        (lambda c: c.predict("encode", {"image": IMAGES}, {"beta": 1000}),
         "expected beta between 0.5 and 512, received: beta=1000"),
        (lambda c: c.predict("encode", {"image": IMAGES}, 4.0),
         "expected a dict of loss parameters"),
        (lambda c: c.predict("encode", IMAGES), "inputs as a dict of arrays"),
        (lambda c: c.predict(
            "encode", {"image": np.ma.masked_array(IMAGES, IMAGES > 0.5)}),
         "image without masked entries, .* received: [0-9]+ of them"),
        (lambda c: c.predict("reconstruct_bytes", {"image_bytes": ["\ud800"]}),
         "as string.*received: .*ud800"),
        (lambda c: c.predict("decode", {"beta": np.float32([1])}),
         r"decode: expected the inputs \['beta', 'latent'\], received"),
    ],
)  # fmt: skip
def test_bad_input_is_not_sent(any_client, monkeypatch, call, message):
    sent = []
    transport = any_client._connection._transport
    real = transport.predict

    def predict(target, name, *rest):
        sent.append(name)
        return real(target, name, *rest)

    monkeypatch.setattr(transport, "predict", predict)
    with pytest.raises(InvalidRequest, match=message):
        call(any_client)
    # A refusal is confirmed with the range that the server has now.
    assert set(sent) <= {"loss_parameters"}


def test_what_the_graph_refuses_comes_back_as_a_sentence(client):
    with pytest.raises(InvalidRequest) as caught:
        client.reconstruct_bytes([b"no picture"], 1)
    text = str(caught.value)
    assert "refused the request: assertion failed: [expected image" in text
    assert "{{node" not in text
    with pytest.raises(InvalidRequest, match="at most 256 betas per image"):
        client.curve(IMAGES, np.ones(257))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({"model": "other"},
         "model 'other' at .* knows no such model: was it started with "
         "--model_name=other"),
        ({"model": "a/b:c d%"}, "model 'a/b:c d%' at "),
        ({"model": "tiny", "version": 9},
         "version 9 of model 'tiny' at .*the server has: version 1 AVAILABLE"),
        ({"model": "tiny", "label": "canary"},
         "labelled 'canary' of model 'tiny' .* assigned in models.config"),
    ],
)  # fmt: skip
def test_unknown_models_versions_labels(server, scheme, which, message):
    with Client(address(server, scheme), **which) as asking:
        with pytest.raises(NotFound, match=message):
            asking.encode(IMAGES, 1)
        with pytest.raises(NotFound, match="tries in"):
            asking.wait_until_ready(timeout=1)


@pytest.mark.parametrize("label", ["", 5, b"canary"])
def test_a_label_is_the_name_of_one(label):
    with pytest.raises(InvalidRequest, match="expected label as the name of"):
        Client("grpc://127.0.0.1:1", "tiny", label=label)


def test_unknown_signatures(client):
    expected = "no signature 'x'; the model has curve, decode, encode"
    with pytest.raises(NotFound, match=expected):
        client.predict("x", {})


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("which", [{"version": 1}, {"label": "stable"}])
def test_versions_by_number_and_label(server, scheme, which):
    with Client(address(server, scheme), "tiny", **which) as asking:
        asking.wait_until_ready(10)
        assert asking.metadata().version == 1
        assert asking.encode(IMAGES, 1).mean.shape == (2, LATENTS)


def test_many_threads_share_a_client(exported, client):
    images, betas = export_runs.images(32), export_runs.betas(32)
    expected = np.asarray(exported.model.reconstruct(images, betas))
    start = threading.Barrier(32)

    def work(i):
        start.wait()
        return [
            client.reconstruct(images[i : i + 1], betas[i]).reconstruction[0]
            for _ in range(5)
        ]

    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        for i, found in enumerate(threads.map(work, range(32))):
            for one in found:
                np.testing.assert_allclose(one, expected[i], **CLOSE)


def test_a_closed_client(server):
    for scheme in SCHEMES:
        asking = Client(address(server, scheme), model="tiny")
        with asking:
            asking.metadata()
        with pytest.raises(serving_client.ServingError, match="was closed"):
            asking.metadata()


@pytest.mark.slow
def test_ready_only_when_the_model_is(tmp_path):
    """HTTP 200 and a reply over gRPC do not mean that."""
    serving_models.half_plus(2, tmp_path / "1")
    with serving_models.running(tmp_path) as running:
        (tmp_path / "2").mkdir()  # cannot be loaded
        for scheme in SCHEMES:
            place = address(running, scheme)
            with Client(place, model="m") as latest:
                latest.wait_until_ready(timeout=60)
            with (
                Client(place, model="m", version=2) as broken,
                pytest.raises(
                    Unavailable,
                    match="not ready: version 2 .*Could not find SavedModel",
                ),
            ):
                # In the process of tests the collector goes through all of
                # TensorFlow's objects when a load has failed.
                broken.wait_until_ready(timeout=4)


REST_ALONE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "yoto_tf", "keras", "grpc",
                                  "google", "tensorflow_serving"):
            raise ImportError(f"blocked: {name}")
sys.meta_path.insert(0, Blocked())
import numpy as np
from serving.client import Client
with Client(sys.argv[1], model="tiny") as client:
    client.wait_until_ready()
    images = np.full((2, 32, 32, 3), 0.5)
    print(client.reconstruct(images, 4.0).rate.tolist())
"""


def test_grpc_says_what_it_needs():
    lines = REST_ALONE.partition("import numpy")[0]
    lines += "from serving.client import Client; Client('grpc://h', 'm')"
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: grpc:// needs the package tensorflow-serving-api, "
        "http:// does without: blocked: "
    )


def test_rest_needs_neither_tensorflow_nor_yoto_tf(exported, server):
    done = subprocess.run(
        [sys.executable, "-c", REST_ALONE, address(server, "http")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    image = np.full((2, SIZE, SIZE, 3), 0.5, np.float32)
    inside = exported.ask("encode", image=image, beta=np.float32([4, 4]))
    m, s = inside["mean"].astype(float), inside["stddev"].astype(float)
    expected = (0.5 * (m**2 + s**2 - 1) - np.log(s)).sum(-1)
    found = json.loads(done.stdout)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
