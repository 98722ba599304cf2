"""The text protos that tell a server what to serve.

`models.config` is a ModelServerConfig; its checks are those of
`model_servers/server_core.cc`.
"""

import dataclasses
import os
import re

from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import status
from serving.embedded.options import BatchingOptions
from serving.embedded.options import ServerOptions
from yoto_tf.contract.batching import BatchingParameters
from yoto_tf.contract.messages import message_class

_BATCHING_NUMBERS = (
    "max_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "num_batch_threads",
)
DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"
_MonitoringConfig = message_class(
    MonitoringConfig={"prometheus_config": "PrometheusConfig"},
    PrometheusConfig={"enable": "bool", "path": "string"},
)


def single_model(
    name: str, base_path: str
) -> model_server_config_pb2.ModelConfigList:
    """The configuration that --model_name and --model_base_path stand for."""
    config = model_server_config_pb2.ModelConfigList()
    config.config.add(
        name=name, base_path=base_path, model_platform="tensorflow"
    )
    return config


def read(
    flags: ServerOptions,
) -> tuple[model_server_config_pb2.ModelConfigList, ServerOptions]:
    """Reads the files that a command line names.

    Returns:
        The models, and the options with what the other files say.

    Raises:
        StatusError: INVALID_ARGUMENT, naming the file and what is wrong.
    """
    if flags.model_config_file:
        config = read_models(flags.model_config_file)
    else:
        base_path = os.path.abspath(flags.model_base_path)
        config = single_model(flags.model_name, base_path)
    metrics_path = batching = None
    if flags.monitoring_config_file:
        metrics_path = read_monitoring(flags.monitoring_config_file)
    if flags.batching_parameters_file:
        batching = read_batching(flags.batching_parameters_file)
    elif flags.enable_batching:
        batching = BatchingOptions()
    return config, dataclasses.replace(
        flags, metrics_path=metrics_path, batching=batching
    )


def read_models(path: str) -> model_server_config_pb2.ModelConfigList:
    """Reads and checks a models.config; raises as `read` does."""
    message = _read(path, model_server_config_pb2.ModelServerConfig())
    if message.WhichOneof("config") != "model_config_list":
        raise status.invalid_argument(
            f"{path}: expected a model_config_list {{ ... }}."
        )
    if not all(model.name for model in message.model_config_list.config):
        raise status.invalid_argument(
            f"{path}: expected a name of every model, for nobody can ask for "
            "one without."
        )
    validate(message.model_config_list)
    return message.model_config_list


def validate(config: model_server_config_pb2.ModelConfigList) -> None:
    """Refuses what TF Serving refuses (`ValidateModelConfigList`)."""
    seen = set()
    for model in config.config:
        if model.name in seen:
            raise status.invalid_argument(
                f"Illegal to list model {model.name} multiple times in config "
                "list"
            )
        seen.add(model.name)
        has_scheme = re.match("[a-z0-9]+://", model.base_path)
        if not os.path.isabs(model.base_path) and not has_scheme:
            raise status.invalid_argument(
                f"Expected model {model.name} to have an absolute path or "
                f"URI; got base_path()={model.base_path}"
            )
        if bool(model.model_type) == bool(model.model_platform):
            which = "both" if model.model_type else "neither"
            joint = "and" if model.model_type else "nor"
            raise status.invalid_argument(
                f"Illegal setting {which} model_type(deprecated) {joint} "
                "model_platform."
            )
        tensorflow = model.model_type == model_server_config_pb2.TENSORFLOW
        platform = model.model_platform or ("other", "tensorflow")[tensorflow]
        if platform != "tensorflow":
            raise status.invalid_argument(
                f"Model {model.name} requests unsupported platform {platform}"
            )


def read_monitoring(path: str) -> str | None:
    """The path of the metrics page, None where it is not enabled."""
    config = _read(path, _MonitoringConfig()).prometheus_config
    return (config.path or DEFAULT_METRICS_PATH) if config.enable else None


def read_batching(path: str) -> BatchingOptions:
    """Reads and checks a batching.config."""
    message = _read(path, BatchingParameters())
    if message.pad_variable_length_inputs:
        raise status.invalid_argument(
            f"{path}: pad_variable_length_inputs is not supported by this "
            "server"
        )
    numbers = {}
    for field in _BATCHING_NUMBERS:
        if message.HasField(field):
            numbers[field] = value = getattr(message, field).value
            least = int(field != "batch_timeout_micros")
            if value < least:
                raise status.invalid_argument(
                    f"{path}: {field} must be {least} or more; got {value}"
                )
    sizes = tuple(message.allowed_batch_sizes)
    options = BatchingOptions(allowed_batch_sizes=sizes, **numbers)
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1):
        raise status.invalid_argument(
            f"{path}: allowed_batch_sizes entries must be positive and "
            "monotonically increasing"
        )
    if sizes and sizes[-1] != options.max_batch_size:
        raise status.invalid_argument(
            f"{path}: Last entry in allowed_batch_sizes must match "
            f"max_batch_size; last entry was {sizes[-1]}; expected "
            f"{options.max_batch_size}"
        )
    return options


def _read(path: str, message: Message) -> Message:
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), message)
    except OSError as error:
        raise status.invalid_argument(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise status.invalid_argument(f"{path}: not a text file") from error
    except text_format.ParseError as error:
        raise status.invalid_argument(
            f"Invalid protobuf file: '{path}': {error}"
        ) from error
