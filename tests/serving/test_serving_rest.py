"""The REST API of a running server: URLs, replies, texts."""

import http.client
import json
import re

import numpy as np
import pytest
import serving_models
from serving_grpc_client import Client
from serving_grpc_client import error_of
from serving_grpc_client import request_of
from serving_models import ask


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("rest")
    serving_models.image(base / "3")
    with serving_models.running(
        base,
        metrics_path="/monitoring/prometheus/metrics",
    ) as running:
        yield running


def predict(server, body, target="/v1/models/m:predict", **headers):
    return ask(server, "POST", target, json.dumps(body), headers)


def rows(inputs):
    return [
        {"image": image.tolist(), "beta": float(beta)}
        for image, beta in zip(inputs["image"], inputs["beta"], strict=True)
    ]


@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/m:predict",
        "/v1/models/m/versions/3:predict",
        "/V1/MODELS/m/Versions/3:predict",
        "/v1/models/%6d:predict",
    ],
)
def test_predict_by_row(server, target):
    inputs = serving_models.image_inputs(2)
    status, reply = predict(server, {"instances": rows(inputs)}, target)
    assert status == 200
    expected = inputs["image"] * inputs["beta"].reshape(-1, 1, 1, 1)
    for row, image in zip(reply["predictions"], expected, strict=True):
        assert row == {
            "reconstruction": image.tolist(),
            "rate": float(image.sum()),
        }


def test_predict_by_column(server):
    inputs = serving_models.image_inputs(3)
    body = {"inputs": {name: a.tolist() for name, a in inputs.items()}}
    status, reply = predict(server, body)
    assert status == 200
    assert reply["outputs"]["rate"] == [6, 44, 114]


def test_strings_and_bytes(server):
    body = {"signature_name": "upper", "instances": ["é", {"b64": "/2E="}]}
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port)
    connection.request("POST", "/v1/models/m:predict", json.dumps(body))
    text = connection.getresponse().read()
    connection.close()
    # Bytes that are no UTF-8 go out as they are, as from TF Serving.
    assert b"\xffA" in text
    found = json.loads(text.decode("utf-8", "replace"))["predictions"]
    assert found[0] == {"upper": "é", "raw_bytes": {"b64": "w6k="}}
    assert found[1]["raw_bytes"] == {"b64": "/2E="}


def test_every_dtype_with_a_json_form(server):
    inputs = {
        "small": [-1],
        "large": [2**64 - 1],
        "flag": [True],
        "long": [-(2**63)],
        "double": [0.1],
    }
    body = {"signature_name": "echo", "inputs": inputs}
    assert predict(server, body) == (200, {"outputs": inputs})


def test_an_empty_batch(server):
    body = {"signature_name": "total", "inputs": []}
    assert predict(server, body) == (200, {"outputs": 0.0})


ERRORS = [
    ({"signature_name": "s"}, 400, 'Serving signature name: "s" not found in '
     "signature def"),
    ({"signature_name": "nothing", "inputs": {}}, 400,
     "Failed to get input map for signature: nothing"),
    ({"instances": []}, 400, "No values in 'instances' array"),
    ({"inputs": {"image": []}}, 400,
     "Missing named input: beta in 'inputs' object."),
    ({"instances": [{"image": 1}]}, 400, "keys must be equal to: beta,image"),
    ({"inputs": {"image": [[1]], "beta": [1]}}, 400,
     "is not compatible with expected shape [?,2,2,1]"),
    ({"instances": [{"image": [[[1]] * 2] * 2, "beta": -1}]}, 400,
     "assertion failed: [beta must be >= 0"),
    ({"instances": [{"b64": "AA=="}]}, 400,
     "is not of expected type: float"),
    ({"signature_name": "total", "instances": [1]}, 400,
     "Tensor name: total  has no shape information "),
    ({"signature_name": "half", "inputs": [1]}, 501,
     "Conversion of JSON Value: 1 to type: half"),
    # In row format every error of an element becomes INVALID_ARGUMENT.
    ({"signature_name": "half", "instances": [1]}, 400,
     "Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to type: half"),
    ({"signature_name": "__saved_model_init_op", "inputs": 1}, 400,
     "Failed to get input map"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "words"), ERRORS)
def test_requests_that_do_not_fit(server, body, status, words):
    found, reply = predict(server, body)
    assert found == status
    assert list(reply) == ["error"]
    assert words in reply["error"]


@pytest.mark.parametrize(
    ("method", "target", "status", "error"),
    [
        ("POST", "/v1/models/x:predict", 404,
         "Servable not found for request: Latest(x)"),
        ("POST", "/v1/models/m/versions/9:predict", 404,
         "Servable not found for request: Specific(m, 9)"),
        ("POST", "/v1/models/m/labels/l:predict", 400,
         "Unrecognized servable version label: l"),
        ("POST", "/v1/models/a%2Fb%3A:predict", 404,
         "Servable not found for request: Latest(a/b:)"),
        ("POST", f"/v1/models/m/versions/{2**63}:predict", 400,
         f"Failed to convert version: {2**63} to numeric."),
        ("POST", f"/v1/models/m/versions/{'0' * 30}{'9' * 20}:predict", 400,
         f"Failed to convert version: {'0' * 30}{'9' * 20} to numeric."),
        ("POST", f"/v1/models/m/versions/{'0' * 5000}9:predict", 404,
         "Servable not found for request: Specific(m, 9)"),
        ("POST", "/v1/models/m/versions/1/labels/l:predict", 400, None),
        ("POST", "/v1/models/m:predict?x=1", 400, None),
        ("POST", "/v1/models/m:PREDICT", 400, None),
        ("POST", "/v1/models/m", 400, None),
        ("GET", "/v1/models/m:predict", 400, None),
        ("PUT", "/v1/models/m", 400, None),
        ("DELETE", "/v1/models/m", 400, None),
        ("GET", "/v1/", 400, None),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/x", 404, "Could not find any versions of model x"),
        ("GET", "/v1/models/m?x=1", 404,
         "Could not find any versions of model m?x=1"),
        ("GET", "/v1/models/m/versions/9", 404,
         "Could not find version 9 of model m"),
        ("GET", "/v1/models/x/metadata", 404,
         "Servable not found for request: Latest(x)"),
        ("GET", "/v1/models/m/labels/l/metadata", 400,
         "Unrecognized servable version label: l"),
    ],
)  # fmt: skip
def test_urls_that_lead_nowhere(server, method, target, status, error):
    body = '{"inputs": 1}' if method == "POST" else None
    found = ask(server, method, target, body)
    error = error or f"Malformed request: {method} {target}"
    assert found == (status, {"error": error})


def test_a_malformed_body_comes_before_an_unknown_model(server):
    status, reply = ask(server, "POST", "/v1/models/x:predict", "{")
    assert status == 400
    assert reply["error"].startswith("JSON Parse error: ")
    assert ask(server, "POST", "/v1/models/x:predict", "") == (
        400,
        {"error": "JSON Parse error: The document is empty"},
    )


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_the_verbs_of_tf_example_are_not_served(server, verb):
    status, _ = ask(server, "POST", f"/v1/models/m:{verb}", "{}")
    assert status == 501


def test_other_paths_and_methods(server):
    status, text = ask(server, "GET", "/<b>")
    assert status == 404
    assert b"&lt;b&gt;" in text
    assert ask(server, "HEAD", "/v1/models/m")[0] == 400
    assert ask(server, "OPTIONS", "/v1/models/m")[0] == 400
    origin = {"Origin": "http://localhost"}
    assert ask(server, "OPTIONS", "/v1/models/m", headers=origin)[0] == 200


@pytest.mark.parametrize("tail", ["", "/versions/3", "/labels/made_up"])
def test_status(server, tail):
    assert ask(server, "GET", f"/v1/models/m{tail}") == (
        200,
        {
            "model_version_status": [
                {
                    "version": "3",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )


def test_metadata(server):
    status, reply = ask(server, "GET", "/v1/models/m/metadata")
    assert status == 200
    assert reply["model_spec"] == {
        "name": "m",
        "signature_name": "",
        "version": "3",
    }
    signatures = reply["metadata"]["signature_def"]["signature_def"]
    image = signatures["serving_default"]["inputs"]["image"]
    assert image["dtype"] == "DT_FLOAT"
    assert image["tensor_shape"] == {
        "dim": [{"size": size, "name": ""} for size in ("-1", "2", "2", "1")],
        "unknown_rank": False,
    }
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    # No trace of how the reply was packed.
    assert list(reply["metadata"]["signature_def"]) == ["signature_def"]


def test_metrics(server):
    predict(server, {"signature_name": "total", "inputs": [1]})
    predict(server, {}, "/v1/models/m:predict")
    status, page = ask(server, "GET", "/monitoring/prometheus/metrics")
    assert status == 200
    text = page.decode()
    name = ":tensorflow:serving:request_count"
    assert f"# TYPE {name} counter\n" in text
    assert f'{name}{{model_name="m",status="OK"}} ' in text
    assert f'{name}{{model_name="m",status="INVALID_ARGUMENT"}} ' in text
    assert (
        ':tensorflow:serving:request_latency_count{model_name="m",'
        'API="predict",entrypoint="REST"} '
    ) in text
    assert (
        ':tensorflow:serving:runtime_latency_count{model_name="m",'
        'API="Predict",runtime="TF1"} '
    ) in text


def test_what_request_count_counts(tmp_path):
    """As TF Serving: over REST every call for a model, over gRPC Predict."""
    serving_models.half_plus(2, tmp_path / "1")
    with serving_models.running(tmp_path, metrics_path="/metrics") as server:
        predict(server, {"instances": [1.0]})
        predict(server, {"instances": ["x"]})
        ask(server, "GET", "/v1/models/m")
        ask(server, "GET", "/v1/models/m/metadata")
        ask(server, "GET", "/v1/models/%6d/versions/7")
        ask(server, "POST", "/v1/models/m:classify", "{}")
        ask(server, "GET", "/v1/models/none/metadata")
        ask(server, "GET", "/v1/models")
        ask(server, "PUT", "/v1/models/m")
        client = Client(server.grpc_port)
        client.status("m")
        client.predict(request_of({"x": np.float32([1])}))
        error_of(client.predict, request_of({}))
        client.channel.close()
        page = ask(server, "GET", "/metrics")[1].decode()
    counts = re.findall(
        ':request_count{model_name="(.*)",status="(.*)"} (.*)', page
    )
    assert {(name, status): int(n) for name, status, n in counts} == {
        ("m", "OK"): 4,
        ("m", "INVALID_ARGUMENT"): 2,
        ("m", "NOT_FOUND"): 1,
        ("m", "UNIMPLEMENTED"): 1,
        ("none", "NOT_FOUND"): 1,
    }


def test_row_values_are_exact(tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    with serving_models.running(tmp_path) as server:
        status, reply = predict(server, {"instances": [1.0, 2.0, 5.0]})
        assert (status, reply) == (200, {"predictions": [2.5, 3.0, 4.5]})
        third = float(np.float32(2 / 3))
        _, reply = predict(server, {"instances": [third]})
        assert reply == {"predictions": [2.33333325]}
