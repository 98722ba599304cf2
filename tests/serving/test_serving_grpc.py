"""The gRPC API of a running server: replies, codes, texts, reloads."""

import threading
import time

import grpc
import numpy as np
import pytest
import serving_models
import tensorflow as tf
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from serving_grpc_client import INVALID
from serving_grpc_client import SECONDS
from serving_grpc_client import Client
from serving_grpc_client import error_of
from serving_grpc_client import request_of
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import predict_pb2

BIG = 100_000


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    base = tmp_path_factory.mktemp("grpc")
    serving_models.image(base / "3")
    with serving_models.running(
        base, max_request_bytes=BIG, enable_grpc_healthcheck_service=True
    ) as server:
        client = Client(server.grpc_port)
        with client.channel:
            yield client


def test_predict(client):
    inputs = serving_models.image_inputs(2)
    reply = client.predict(request_of(inputs))
    assert reply.model_spec.name == "m"
    assert reply.model_spec.signature_name == "serving_default"
    assert reply.model_spec.version.value == 3
    expected = inputs["image"] * inputs["beta"].reshape(-1, 1, 1, 1)
    found = reply.outputs["reconstruction"]
    assert not found.tensor_content  # typed fields, as TF Serving writes them
    np.testing.assert_array_equal(tf.make_ndarray(found), expected)
    np.testing.assert_array_equal(
        list(reply.outputs["rate"].float_val), expected.sum((1, 2, 3))
    )


def test_output_filter_and_version(client):
    request = request_of(serving_models.image_inputs(1), output_filter=["rate"])
    request.model_spec.version.value = 3
    assert list(client.predict(request).outputs) == ["rate"]


def test_an_empty_batch(client):
    reply = client.predict(request_of(serving_models.image_inputs(0)))
    found = tf.make_ndarray(reply.outputs["reconstruction"])
    assert found.shape == (0, 2, 2, 1)


def test_strings_and_half_floats(client):
    text = {"text": np.array([b"a\xff"], object)}
    reply = client.predict(request_of(text, "upper"))
    assert list(reply.outputs["upper"].string_val) == [b"A\xff"]
    reply = client.predict(request_of({"x": np.float16([0.5])}, "half"))
    assert tf.make_ndarray(reply.outputs["y"]).tolist() == [0.5]
    assert tf.make_ndarray(reply.outputs["z"]).tolist() == [0.5]


def test_a_signature_without_inputs_works(client):
    reply = client.predict(request_of({}, "nothing"))
    assert list(reply.outputs["one"].float_val) == [1]


GOOD = serving_models.image_inputs(1)
ONE = {"image": GOOD["image"]}


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec"),
        (request_of(GOOD, name=""), INVALID,
         "ModelSpec has no name specified."),
        (request_of(GOOD, name="x"), grpc.StatusCode.NOT_FOUND,
         "Servable not found for request: Latest(x)"),
        (request_of(GOOD, "s"), grpc.StatusCode.FAILED_PRECONDITION,
         'Serving signature key "s" not found.'),
        (request_of(ONE), INVALID,
         "input size does not match signature: 1!=2 len({image}) != "
         "len({beta,image}). Sent extra: {}. Missing but required: {beta}."),
        (request_of({**GOOD, "z": 1}), INVALID,
         "input size does not match signature: 3!=2 len({beta,image,z}) != "
         "len({beta,image}). Sent extra: {z}. Missing but required: {}."),
        (request_of({**ONE, "z": 1}), INVALID,
         "Signature input alias: beta(feed name: serving_default_beta:0) not "
         "found in request and no default value provided. Inputs expected to "
         "be in the set {beta,image}."),
        (request_of({**ONE, "beta": np.ones(1)}), INVALID,
         "Expects arg[0] to be float but double is provided"),
        (request_of(GOOD, output_filter=["x"]), INVALID,
         "output tensor alias not found in signature: x Outputs expected to be"
         " in the set {rate,reconstruction}."),
        (request_of(GOOD, output_filter=["rate", "rate"]), INVALID,
         "duplicate output tensor alias: rate"),
    ],
)  # fmt: skip
def test_requests_that_do_not_fit(client, request_, code, message):
    assert error_of(client.predict, request_) == (code, message)


def test_other_lookups_that_fail(client):
    request = request_of(GOOD)
    request.model_spec.version_label = "l"
    assert error_of(client.predict, request) == (
        INVALID,
        "Unrecognized servable version label: l",
    )
    request.model_spec.version.value = 9
    assert error_of(client.predict, request) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(m, 9)",
    )


def test_the_graph_refuses_in_its_own_words(client):
    bad = {**GOOD, "beta": np.float32([-1])}
    code, message = error_of(client.predict, request_of(bad))
    assert code == INVALID
    assert message.startswith("assertion failed: [beta must be >= 0")


def test_malformed_tensors_and_messages(client):
    request = request_of(GOOD)
    request.inputs["beta"].dtype = 0
    assert error_of(client.predict, request) == (
        INVALID,
        "tensor parsing error: beta",
    )
    raw = client.channel.unary_unary(
        "/tensorflow.serving.PredictionService/Predict"
    )
    code, message = error_of(raw, b"\xff\xff no proto")
    assert code == INVALID
    assert message.startswith("Malformed request: ")


def test_long_texts_are_cut(client):
    code, message = error_of(client.predict, request_of(GOOD, "s" * 5000))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert len(message) == 1024 + len("...TRUNCATED")
    assert message.endswith("...TRUNCATED")
    # Of bytes, as gRPC's own limit is.
    code, message = error_of(client.predict, request_of(GOOD, "日" * 2000))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert len(message.encode()) <= 1024 + len("...TRUNCATED")
    assert message.endswith("日...TRUNCATED")


def test_a_request_that_is_too_large(client):
    large = {"x": np.zeros(BIG, np.float32)}
    code, _ = error_of(client.predict, request_of(large, "total"))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    request = request_of({"x": np.float32([1])}, "total")
    request.inputs["x"].tensor_shape.dim[0].size = BIG
    code, message = error_of(client.predict, request)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "decodes to more than" in message


def test_methods_for_tf_example_are_not_served(client):
    request = predict_pb2.PredictRequest()
    call = client.channel.unary_unary(
        "/tensorflow.serving.PredictionService/Classify",
        request_serializer=predict_pb2.PredictRequest.SerializeToString,
    )
    code, _ = error_of(call, request)
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_clients_that_leave(client):
    slow = request_of({"seconds": np.float32([0.2])}, "slow")
    calls = [client.prediction.Predict.future(slow) for _ in range(3)]
    for call in calls:
        call.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        client.prediction.Predict(slow, timeout=0.05)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.predict(request_of(GOOD)).outputs["rate"].float_val[0] == 6


def test_status(client):
    (version,) = client.status("m").model_version_status
    assert version.version == 3
    assert version.state == version.AVAILABLE
    assert client.status("m", 3).model_version_status[0] == version
    assert error_of(client.status, "x") == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find any versions of model x",
    )
    empty = get_model_status_pb2.GetModelStatusRequest()
    assert error_of(client.model.GetModelStatus, empty) == (
        INVALID,
        "Missing ModelSpec",
    )


def metadata(client, fields, name="m"):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        metadata_field=fields
    )
    if name is not None:
        request.model_spec.name = name
    return client.prediction.GetModelMetadata(request, timeout=SECONDS)


def test_metadata(client):
    reply = metadata(client, ["signature_def"])
    assert reply.model_spec.name == "m"
    assert reply.model_spec.version.value == 3
    assert reply.model_spec.signature_name == ""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def["serving_default"].inputs
    assert sorted(inputs) == ["beta", "image"]


@pytest.mark.parametrize(
    ("fields", "name", "message"),
    [
        ([], "m", "GetModelMetadataRequest must specify at least one "
         "metadata_field"),
        (["x"], "m", "Metadata field x is not supported"),
        (["signature_def"], None, "Missing ModelSpec"),
    ],
)  # fmt: skip
def test_metadata_requests_that_do_not_fit(client, fields, name, message):
    assert error_of(metadata, client, fields, name) == (INVALID, message)


def test_the_queue_is_bounded(tmp_path):
    serving_models.image(tmp_path / "1")
    slow = request_of({"seconds": np.float32([0.3])}, "slow")
    with serving_models.running(
        tmp_path, grpc_max_threads=1, max_queued_requests=1
    ) as server:
        client = Client(server.grpc_port)
        with client.channel:
            calls = [client.prediction.Predict.future(slow) for _ in range(5)]
            codes = [call.code() for call in calls]
    assert codes.count(grpc.StatusCode.OK) == 2
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 3


def test_reflection(client):
    """As `grpcurl list` and `grpcurl describe` ask."""
    database = ProtoReflectionDescriptorDatabase(client.channel)
    assert set(database.get_services()) == {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    pool = DescriptorPool(database)
    service = pool.FindServiceByName("tensorflow.serving.PredictionService")
    predict = service.FindMethodByName("Predict")
    assert predict.input_type.fields_by_name["model_spec"].number == 1
    tensor = pool.FindMessageTypeByName("tensorflow.TensorProto")
    assert tensor.fields_by_name["float_val"].number == 5


def test_health(client):
    stub = health_pb2_grpc.HealthStub(client.channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    for name in ("", "PredictionService", "ModelService"):
        request = health_pb2.HealthCheckRequest(service=name)
        assert stub.Check(request, timeout=SECONDS).status == serving
        watch = stub.Watch(request, timeout=SECONDS)
        assert next(watch).status == serving
        watch.cancel()
    unknown = health_pb2.HealthCheckRequest(service="x")
    assert error_of(stub.Check, unknown)[0] == grpc.StatusCode.NOT_FOUND


def test_garbage_is_the_clients_fault_in_every_method(client, caplog):
    """Of every service that is listed, those of gRPC's packages too."""
    database = ProtoReflectionDescriptorDatabase(client.channel)
    pool = DescriptorPool(database)
    codes = {}
    for service in database.get_services():
        for method in pool.FindServiceByName(service).methods:
            call = client.channel.stream_stream(f"/{service}/{method.name}")
            for body in (b"\xff\xff", b"\x0b" * 50, b"\x0a\x01\xff"):
                answers = call(iter([body]), timeout=SECONDS)
                codes.setdefault(answers.code(), set()).add(method.name)
                assert "Traceback" not in answers.details()
    assert codes.pop(INVALID) >= {
        "Predict",
        "GetModelStatus",
        "HandleReloadConfigRequest",
        "Check",
        "Watch",
        "ServerReflectionInfo",
    }
    assert set(codes) == {grpc.StatusCode.UNIMPLEMENTED}
    assert not caplog.records


def test_a_fault_of_the_server_is_told_without_its_traceback(
    tmp_path, monkeypatch, caplog
):
    def fail(*_):
        raise RuntimeError("a secret")

    serving_models.image(tmp_path / "1")
    with serving_models.running(tmp_path) as server:
        client = Client(server.grpc_port)
        metadata_of = client.prediction.GetModelMetadata
        for call, request, broken in (
            (client.predict, request_of(GOOD), "run.predict.run"),
            (client.status, "m", "versions.table.Table.states"),
            (
                metadata_of,
                get_model_metadata_pb2.GetModelMetadataRequest(
                    model_spec={"name": "m"}, metadata_field=["signature_def"]
                ),
                "versions.table.Table._find",
            ),
            (client.reload, None, "versions.manager.ModelManager.reload"),
        ):
            monkeypatch.setattr(f"serving.embedded.{broken}", fail)
            arguments = [] if request is None else [request]
            assert error_of(call, *arguments) == (
                grpc.StatusCode.INTERNAL,
                "Fault in the embedded server.",
            )
            assert "a secret" in caplog.text
            caplog.clear()
            monkeypatch.undo()
        health = health_pb2_grpc.HealthStub(client.channel)
        code, _ = error_of(health.Check, health_pb2.HealthCheckRequest())
        assert code == grpc.StatusCode.UNIMPLEMENTED  # not asked for
        client.channel.close()


def test_shapes_that_no_array_has(client):
    request = request_of({"x": np.float32([])}, "total")
    for shape in ([0, 2**62, 2**62], [2**62, 2**62, 0], [2**62, 2**62]):
        tensor = request.inputs["x"]
        tensor.Clear()
        tensor.dtype = 1
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        code, message = error_of(client.predict, request)
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "decodes to more than" in message


@pytest.mark.parametrize("is_busy", [False, True])
def test_who_watches_the_health_hears_of_the_end(tmp_path, is_busy):
    serving_models.image(tmp_path / "1")
    with serving_models.running(
        tmp_path, enable_grpc_healthcheck_service=True
    ) as server:
        client = Client(server.grpc_port)
        stub = health_pb2_grpc.HealthStub(client.channel)
        watches = [
            stub.Watch(
                health_pb2.HealthCheckRequest(service=name), timeout=SECONDS
            )
            for name in ("", "PredictionService", "PredictionService")
        ]
        assert [next(w).status for w in watches] == [1, 1, 1]
        if is_busy:
            slow = request_of({"seconds": np.float32([0.3])}, "slow")
            call = client.prediction.Predict.future(slow)
            time.sleep(0.1)
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    assert [next(w).status for w in watches] == [not_serving] * 3
    if is_busy:
        assert call.result().outputs["turns"].int_val
    client.channel.close()


def test_open_streams_do_not_hold_the_end_up(tmp_path):
    serving_models.image(tmp_path / "1")
    done = threading.Event()

    def nothing():
        done.wait()
        yield from ()

    server = serving_models.make_server(
        tmp_path, enable_grpc_healthcheck_service=True
    )
    server.start()
    client = Client(server.grpc_port)
    watch = health_pb2_grpc.HealthStub(client.channel).Watch(
        health_pb2.HealthCheckRequest(), timeout=SECONDS
    )
    next(watch)
    listing = client.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    )(nothing(), timeout=SECONDS)
    slow = request_of({"seconds": np.float32([0.3])}, "slow")
    call = client.prediction.Predict.future(slow)
    time.sleep(0.1)
    start = time.monotonic()
    server.stop(30)
    assert time.monotonic() - start < 25
    assert call.result().outputs["turns"].int_val  # answered all the same
    # What it said at its end, without which no status is read.
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    for stream in (watch, listing):
        assert stream.code() == grpc.StatusCode.UNAVAILABLE
    done.set()
    client.channel.close()


def test_unfinished_calls_take_no_place(tmp_path):
    """Many times as many as the server has places for."""
    serving_models.image(tmp_path / "1")
    done = threading.Event()

    def nothing():
        done.wait()
        yield from ()

    with serving_models.running(
        tmp_path, grpc_max_threads=1, max_queued_requests=1
    ) as server:
        client = Client(server.grpc_port)
        unfinished = client.channel.stream_unary(
            "/tensorflow.serving.PredictionService/Predict"
        )
        listing = client.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        calls = [unfinished.future(nothing(), timeout=5) for _ in range(10)]
        calls += [listing(nothing(), timeout=5) for _ in range(10)]
        assert client.predict(request_of(GOOD)).outputs["rate"].float_val
        assert client.status("m").model_version_status
        for call in calls:
            call.cancel()
        done.set()
        client.channel.close()
