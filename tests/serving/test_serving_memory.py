"""What a request brought is freed when it ends, without the collector.

The server's collector goes round once in 100,000 objects, and a large body
is one object.
"""

import json
import time
import tracemalloc

import grpc
import numpy as np
import pytest
import serving_grpc_client
import serving_models
from collector import no_collector
from serving_grpc_client import request_of

from serving.embedded.options import BatchingOptions

BIG = 2**20
REQUESTS = 8
IMAGE = {
    "image": np.zeros([BIG // 16, 2, 2, 1], np.float32),
    "beta": np.full(BIG // 16, -1, np.float32),  # refused in the graph
}
NUMBERS = {"x": np.zeros(BIG // 4, np.float32)}
TEXTS = {"text": np.array([b"x" * BIG])}
# name -> inputs, signature, model of a gRPC request.
MESSAGES = {
    "answered": (TEXTS, "upper", "m"),
    "unknown model": (NUMBERS, "total", "other"),
    "unknown signature": (NUMBERS, "other", "m"),
    "wrong input": (NUMBERS, "upper", "m"),
    "wrong dtype": ({"text": NUMBERS["x"]}, "upper", "m"),
    "refused in the graph": (IMAGE, "", "m"),
}
# name -> the body of a REST request.
BODIES = {
    "answered": {"signature_name": "upper", "inputs": ["x" * BIG]},
    "no JSON": "x" * BIG,
    "irregular": {
        "signature_name": "total",
        "inputs": [0.5] * (BIG // 4) + ["x"],
    },
    "an odd row": {"instances": [{"beta": 1.0}] * (BIG // 32) + [1.0]},
    "unknown signature": {"signature_name": "z" * BIG, "inputs": [1.0]},
    "refused in the graph": {
        "inputs": {key: array[:9999].tolist() for key, array in IMAGE.items()}
    },
}


@pytest.fixture(scope="module", params=["alone", "in batches"])
def server(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("memory")
    serving_models.image(base / "1")
    batching = None
    if request.param == "in batches":
        batching = BatchingOptions(max_batch_size=BIG)
    with serving_models.running(base, batching=batching) as running:
        yield running


def kept(send):
    """Bytes that are in memory, more than before, after some requests."""
    with no_collector():
        send()  # what is made once
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(REQUESTS):
                send()
            end = time.monotonic() + 5
            while True:
                after, _ = tracemalloc.get_traced_memory()
                # The client has its answer before the server is quite done.
                if after - before < BIG or time.monotonic() > end:
                    return after - before
                time.sleep(0.01)
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("name", MESSAGES)
def test_over_grpc(server, name):
    message = request_of(*MESSAGES[name])
    client = serving_grpc_client.Client(server.grpc_port)

    def send():
        call = client.prediction.Predict.future(message)
        assert (call.code() == grpc.StatusCode.OK) == (name == "answered")

    assert kept(send) < BIG


@pytest.mark.parametrize("name", BODIES)
def test_over_rest(server, name):
    body = json.dumps(BODIES[name])

    def send():
        code, _ = serving_models.ask(
            server, "POST", "/v1/models/m:predict", body
        )
        assert (code == 200) == (name == "answered")

    assert kept(send) < BIG


@pytest.mark.parametrize("name", ["m" * BIG, "%2F" * (BIG // 64)])
def test_names_of_models(server, name):
    """The metrics keep names; how many and how much of each is bounded."""
    numbers = iter(range(1000))
    client = serving_grpc_client.Client(server.grpc_port)

    def send():
        message = request_of({}, "", f"{name}{next(numbers)}")
        call = client.prediction.Predict.future(message)
        assert call.code() == grpc.StatusCode.NOT_FOUND

    assert kept(send) < BIG
