"""What both APIs ask of a server, in protos and arrays.

All that fails is a StatusError with TF Serving's code and text.
"""

import logging
import time
from collections.abc import Callable

from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.apis import predict_pb2

from serving.embedded import status
from serving.embedded.apis.metrics import Metrics
from serving.embedded.json import request as json_request
from serving.embedded.json import response as json_response
from serving.embedded.options import ServerOptions
from serving.embedded.run import predict
from serving.embedded.run import tensors
from serving.embedded.versions.manager import ModelManager
from serving.embedded.versions.table import Servable

_SIGNATURES = "signature_def"
_logger = logging.getLogger(__name__)


class Core:
    """Answers requests from the loaded versions."""

    def __init__(
        self, manager: ModelManager, metrics: Metrics, options: ServerOptions
    ):
        self._manager = manager
        self._table = manager.table
        self.metrics = metrics
        self._options = options

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Predict, as gRPC carries it."""
        spec = request.model_spec
        with self.metrics.request(spec.name, "Predict", "GRPC"):
            _require_spec(request)
            with self._table.use(spec) as servable:
                name = spec.signature_name
                signature = predict.find_signature(servable.loaded, name)
                inputs = predict.decode_inputs(
                    signature, request.inputs, self._options.max_request_bytes
                )
                outputs = self._run(
                    servable, signature, inputs, request.output_filter
                )
            response = predict_pb2.PredictResponse()
            response.model_spec.name = spec.name
            response.model_spec.signature_name = (
                name or predict.DEFAULT_SIGNATURE
            )
            response.model_spec.version.value = servable.version
            for alias, array in outputs.items():
                response.outputs[alias].MergeFrom(tensors.to_proto(array))
            return response

    def predict_json(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        """Predict, as REST carries it: a JSON reply to a JSON request."""
        # The version is looked up only then: a malformed body for an unknown
        # model is a malformed body.
        document = json_request.parse(body)
        with self._table.use(spec) as servable:
            outputs = self._predict_document(servable, document)
        return json_response.write(outputs, "instances" in document)

    def _predict_document(self, servable: Servable, document: dict) -> dict:
        name = document["signature_name"] or predict.DEFAULT_SIGNATURE
        signature = servable.loaded.signatures.get(name)
        if signature is None:
            raise status.invalid_argument(
                f'Serving signature name: "{name}" not found in signature def'
            )
        types = {alias: info.dtype for alias, info in signature.inputs.items()}
        inputs = json_request.tensors(document, types)
        predict.check_count(signature, inputs)
        return self._run(servable, signature, inputs, ())

    def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of one version of a model, or of all, newest first."""
        _require_spec(request)
        response = get_model_status_pb2.GetModelStatusResponse()
        for servable in self._table.states(request.model_spec):
            entry = response.model_version_status.add(
                version=servable.version, state=servable.state
            )
            entry.status.SetInParent()
            if servable.error is not None:
                entry.status.error_code = int(servable.error.code)
                entry.status.error_message = servable.error.message
        return response

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a model."""
        _require_spec(request)
        if not request.metadata_field:
            raise status.invalid_argument(
                "GetModelMetadataRequest must specify at least one "
                "metadata_field"
            )
        for field in request.metadata_field:
            if field != _SIGNATURES:
                raise status.invalid_argument(
                    f"Metadata field {field} is not supported"
                )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self._table.use(request.model_spec) as servable:
            for name, signature in servable.loaded.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = servable.model
        response.model_spec.version.value = servable.version
        response.metadata[_SIGNATURES].Pack(signatures)
        return response

    def reload(
        self,
        request: model_management_pb2.ReloadConfigRequest,
        go_on: Callable[[], bool],
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serves other models, and waits until those that are new serve.

        `go_on` is asked every second; False gives up waiting.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise status.invalid_argument(
                "ServerModelConfig type not supported by "
                "HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        models = request.config.model_config_list
        added = self._manager.reload(models)
        names = ", ".join(model.name for model in models.config)
        _logger.info("New configuration: %s", names)
        self._manager.wait_until_available(added, go_on)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response

    def _run(self, servable, signature, inputs, output_filter):
        start = time.perf_counter()
        outputs = predict.run(servable.loaded, signature, inputs, output_filter)
        self.metrics.runtime_latency.add(
            servable.model,
            "Predict",
            "TF1",
            value=(time.perf_counter() - start) * 1e6,
        )
        return outputs


def _require_spec(request) -> None:
    if not request.HasField("model_spec"):
        raise status.invalid_argument("Missing ModelSpec")
