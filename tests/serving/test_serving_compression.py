"""Pictures as files by a served model."""

import compression_models
import numpy as np
import pytest
import served_families
import serving_models
from compression_models import photo

from serving.client import Client
from serving.client import InvalidRequest
from serving.client import compression
from serving.embedded.json import text
from yoto_tf.compression import container
from yoto_tf.compression.codec import Codec
from yoto_tf.families.compression.endpoints import compression_endpoints


@pytest.fixture(scope="module")
def server():
    base = served_families.folder("compression")
    with serving_models.running(
        base, "compression", enable_model_warmup=False
    ) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    address = serving_models.address(server, "grpc")
    with Client(address, "compression") as client:
        yield client


@pytest.fixture(scope="module")
def codec():
    return compression_models.tiny_codec()


@pytest.mark.slow
@pytest.mark.parametrize("quality", [None, 0, 40.3, 100])
def test_files_are_those_of_the_local_codec(client, codec, quality):
    pixels = photo(130, 90)
    data = client.compress(pixels, quality)
    assert data == codec.compress(pixels, quality)
    found = client.decompress(data).astype(int)
    assert np.abs(found - codec.decompress(data)).max() <= 1


def test_rest_and_grey_pictures_are_no_others(server, codec):
    address = serving_models.address(server, "http")
    grey = photo(65, 64)[..., 0]
    with Client(address, "compression") as client:
        data = client.compress(grey, 30)
        assert data == codec.compress(grey, 30)
        found = client.decompress(data)
    assert found.shape == grey.shape
    assert np.abs(found.astype(int) - codec.decompress(data)).max() <= 1


def test_a_million_pixels_are_one_request():
    side, channels = 1024, 3
    assert side**2 == compression.MAX_PIXELS
    # As JSON: commas between numbers, a list of a pixel and of a row.
    parts = side**2 * channels + side**2 + side
    assert parts < text.MAX_PARTS


def test_what_cannot_be_coded_is_refused_with_a_sentence(client):
    data = client.compress(photo(64, 64))
    other = Codec(compression_models.make(seed=1)).compress(photo(64, 64))
    for damaged in (data[:-1], bytes(60), b"", data + b"1", other):
        with pytest.raises(InvalidRequest, match="^expected .*received: "):
            client.decompress(damaged)
    large = np.broadcast_to(np.uint8(0), (1024, 1025, 3))
    with pytest.raises(InvalidRequest, match="yoto_tf.compression.Codec"):
        client.compress(large)
    file = container.unpack(data)
    forged = container.Container(**vars(file) | {"width": 60_000})
    with pytest.raises(InvalidRequest, match="at most 1,048,576 pixels"):
        client.decompress(container.pack(forged))
    for wrong in ({"quality": 101}, {"pixels": photo(64, 64) / 255}):
        with pytest.raises(InvalidRequest, match="^expected .*received: "):
            client.compress(**{"pixels": photo(64, 64), **wrong})


@pytest.mark.parametrize("changes", [1, 2])
def test_a_version_that_follows_in_between_is_asked_anew(
    client, codec, monkeypatch, changes
):
    """The file has the mark of the version that made its symbols."""
    told = []
    right = compression.CompressionMethods._coding

    def coding(self):
        found = right(self)
        told.append(found.fingerprint)
        if len(told) <= changes:
            found.fingerprint = bytes(8)
        return found

    monkeypatch.setattr(compression.CompressionMethods, "_coding", coding)
    pixels = photo(64, 64)
    assert client.compress(pixels) == codec.compress(pixels)
    assert len(told) == changes + 1


def test_the_server_answers_as_numpy_and_keras_do(client, codec):
    pixels = photo(128, 64)
    found = client.predict("reconstruct", {"image": pixels[None]}, {})
    estimate = codec.estimate(pixels)
    # A file has a header besides.
    payload = estimate.bits - 8 * container.HEADER_BYTES
    np.testing.assert_allclose(
        found["bits_per_pixel"], payload / pixels[..., 0].size, rtol=1e-3
    )
    np.testing.assert_allclose(found["psnr"], estimate.psnr, atol=0.01)
    with pytest.raises(InvalidRequest, match="multiples of 64"):
        client.predict("reconstruct", {"image": pixels[None, :70]}, {})
    symbols = np.zeros((1, 4, 4, 6), "int32")
    hyper_symbols = np.zeros((1, 2, 1, 4), "int32")
    with pytest.raises(InvalidRequest, match="4 symbols a side"):
        client.predict(
            "synthesize",
            {"symbols": symbols, "hyper_symbols": hyper_symbols},
            {},
        )


def test_every_picture_of_a_session_may_be_a_level_off():
    """On the edge between two levels it falls on either side."""
    for endpoint in compression_endpoints(compression_models.tiny()):
        outputs = endpoint.reference(**endpoint.example(1, 0))
        if "image" in outputs:
            bytes_ = endpoint.name == "synthesize"
            level = 1 if bytes_ else 1 / 255
            assert endpoint.tolerances["image"] >= level
