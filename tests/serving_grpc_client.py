"""A gRPC client for the tests of `serving`."""

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

SECONDS = 60
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Client:
    """Both services, over one channel."""

    def __init__(self, port):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self.channel
        )
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, request):
        return self.prediction.Predict(request, timeout=SECONDS)

    def status(self, name, version=None):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        if version is not None:
            request.model_spec.version.value = version
        return self.model.GetModelStatus(request, timeout=SECONDS)

    def reload(self, *models, timeout=SECONDS):
        request = model_management_pb2.ReloadConfigRequest()
        request.config.model_config_list.SetInParent()
        for name, base in models:
            request.config.model_config_list.config.add(
                name=name, base_path=str(base), model_platform="tensorflow"
            )
        return self.model.HandleReloadConfigRequest(request, timeout=timeout)


def request_of(inputs, signature="", name="m", output_filter=()):
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for alias, array in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(array))
    return request


def error_of(call, *arguments):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    return caught.value.code(), caught.value.details()
