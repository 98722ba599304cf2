"""Generated requests at both APIs: answers and refusals, never a fault."""

import http.client
import json
import math

import grpc
import hypothesis
import numpy as np
import pytest
import serving_models
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import predict_pb2

SIGNATURES = [
    "serving_default",
    "upper",
    "tail",
    "total",
    "half",
    "echo",
    "nothing",
]
ALIASES = ["image", "beta", "x", "text", "small", "long", "b64"]
LIMITS = hypothesis.settings(
    max_examples=150,
    deadline=None,
    # The server is one for all examples, on purpose: it has to survive them.
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("properties")
    serving_models.image(base / "1")
    with serving_models.running(base, max_request_bytes=100_000) as running:
        yield running


def send(server, method, target, body):
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.rest_port, timeout=10
    )
    try:
        connection.request(method, target, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        [[[[1.0]] * 2] * 2, [[[[1.0]] * 2] * 2], 10**400, "\ud800"]
    ),
    st.binary(max_size=5).map(lambda b: {"b64": b.decode("latin-1")}),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(ALIASES), inner, max_size=3),
    ),
    max_leaves=8,
)
documents = st.dictionaries(
    st.sampled_from(["instances", "inputs", "signature_name", "other"]),
    st.one_of(values, st.sampled_from(SIGNATURES)),
    max_size=4,
)
bodies = st.one_of(
    documents.map(lambda d: json.dumps(d).encode()),
    st.tuples(documents, st.integers(0, 200)).map(
        lambda pair: json.dumps(pair[0]).encode()[: pair[1]]
    ),
    st.binary(max_size=50),
)
url_characters = st.characters(min_codepoint=33, max_codepoint=126)
targets = st.one_of(
    st.just("/v1/models/m:predict"),
    st.sampled_from(
        [
            "/v1/models/m",
            "/v1/models/m/metadata",
            "/v1/models/m/versions/1:predict",
            "/v1/models/m/labels/x:predict",
        ]
    ),
    st.text(url_characters, max_size=20).map(lambda t: f"/v1/models/{t}"),
    st.text(url_characters, max_size=20).map(lambda t: f"/{t}"),
)


@hypothesis.given(
    st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD", "OPTIONS"]),
    targets,
    bodies,
)
@LIMITS
def test_any_rest_request(server, method, target, body):
    hypothesis.assume(":classify" not in target and ":regress" not in target)
    status, text = send(server, method, target, body)
    # 501 is TF Serving's answer to an input of a dtype that JSON lacks.
    unsupported = status == 501 and b"Conversion of JSON" in text
    assert status == 200 or 400 <= status < 500 or unsupported, text
    if status != 200 and text.startswith(b"{"):
        assert list(json.loads(text)) == ["error"]


@hypothesis.given(st.sampled_from(SIGNATURES), values, st.booleans())
@hypothesis.example("total", [[]], True)
@hypothesis.example("serving_default", [{"b64": "AA=="}], True)
@LIMITS
def test_any_value_for_any_signature_over_rest(server, name, value, by_row):
    key = "instances" if by_row else "inputs"
    body = json.dumps({"signature_name": name, key: value})
    status, text = send(server, "POST", "/v1/models/m:predict", body)
    assert status in (200, 400, 501), text


@st.composite
def tensor_protos(draw):
    proto = tensor_pb2.TensorProto(dtype=draw(st.integers(0, 30)))
    shape = draw(
        st.one_of(
            st.sampled_from([[1], [1, 2, 2, 1], [2], [0], []]),
            st.lists(st.integers(-1, 2**62), max_size=3),
        )
    )
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = draw(st.binary(max_size=16))
    proto.float_val.extend(draw(st.lists(st.floats(width=32), max_size=4)))
    proto.string_val.extend(draw(st.lists(st.binary(max_size=4), max_size=2)))
    small = st.lists(st.integers(-300, 2**31 - 1), max_size=3)
    proto.int_val.extend(draw(small))
    proto.half_val.extend(draw(small))
    proto.scomplex_val.extend(draw(st.lists(st.just(1.5), max_size=3)))
    proto.bool_val.extend(draw(st.lists(st.booleans(), max_size=2)))
    return proto


@st.composite
def predict_requests(draw):
    request = predict_pb2.PredictRequest()
    if draw(st.booleans()):
        request.model_spec.name = draw(st.sampled_from(["m", "m", "", "x"]))
        request.model_spec.signature_name = draw(
            st.sampled_from([*SIGNATURES, "", "none", "__saved_model_init_op"])
        )
        if draw(st.booleans()):
            request.model_spec.version.value = draw(st.sampled_from([1, -1]))
    for alias in draw(st.lists(st.sampled_from(ALIASES), max_size=3)):
        request.inputs[alias].CopyFrom(draw(tensor_protos()))
    request.output_filter.extend(
        draw(st.lists(st.sampled_from(["rate", "y", "one"]), max_size=2))
    )
    return request


FAULTS = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,  # no answer at all
)


def call(channel, method, body):
    """Sends bytes to a method; fails on a code that means a fault."""
    run = channel.unary_unary(f"/tensorflow.serving.{method}")
    done = run.future(body, timeout=10)
    assert done.code() not in FAULTS, (done.code(), done.details())


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as opened:
        yield opened


@hypothesis.given(predict_requests())
@LIMITS
def test_any_predict_request_over_grpc(channel, request_):
    call(channel, "PredictionService/Predict", request_.SerializeToString())


@hypothesis.given(
    st.sampled_from(
        [
            "PredictionService/Predict",
            "PredictionService/GetModelMetadata",
            "ModelService/GetModelStatus",
            "ModelService/HandleReloadConfigRequest",
            "PredictionService/Classify",
        ]
    ),
    st.binary(max_size=30),
)
@LIMITS
def test_any_bytes_over_grpc(channel, method, body):
    # Not a valid new configuration: the models are wanted to the end.
    hypothesis.assume("Reload" not in method or b"\x0a" not in body)
    call(channel, method, body)


@hypothesis.given(st.text(max_size=5), st.lists(st.text(max_size=14)))
@LIMITS
def test_any_question_about_a_model(channel, name, fields):
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = name
    call(channel, "ModelService/GetModelStatus", status.SerializeToString())
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(
        metadata_field=fields
    )
    metadata.model_spec.name = name
    call(
        channel,
        "PredictionService/GetModelMetadata",
        metadata.SerializeToString(),
    )


@hypothesis.given(
    st.lists(st.floats(width=32), max_size=20),
)
@LIMITS
def test_rest_gives_back_every_float(server, numbers):
    """Through JSON, the graph and JSON again, to the last bit."""
    body = {
        "signature_name": "echo",
        "inputs": {
            "small": [],
            "large": [],
            "flag": [],
            "long": [],
            "double": numbers,
        },
    }
    status, text = send(
        server, "POST", "/v1/models/m:predict", json.dumps(body)
    )
    assert status == 200
    found = json.loads(text)["outputs"]["double"]
    np.testing.assert_array_equal(np.float64(found), np.float64(numbers))
    assert [math.copysign(1, n) for n in found if n == n] == [
        math.copysign(1, n) for n in numbers if n == n
    ]


def test_the_server_survived(server):
    row = {"small": 1, "large": 2, "flag": True, "long": 3, "double": 0.5}
    body = json.dumps({"signature_name": "echo", "instances": [row]})
    status, text = send(server, "POST", "/v1/models/m:predict", body)
    assert (status, json.loads(text)) == (200, {"predictions": [row]})
