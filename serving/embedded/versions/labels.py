"""Version labels: names for versions, from models.config.

Follows `UpdateModelVersionLabelMap` of TF Serving's
`model_servers/server_core.cc`.
"""

from collections.abc import Callable
from collections.abc import Container

from tensorflow_serving.config import model_server_config_pb2

from serving.embedded.status import Code
from serving.embedded.status import StatusError


def new_label_map(
    config: model_server_config_pb2.ModelConfigList,
    current: dict[str, dict[str, int]],
    available: Callable[[str], Container[int]],
    allow_unavailable: bool,
) -> dict[str, dict[str, int]]:
    """The labels of a new configuration.

    Args:
        config: the new configuration.
        current: model -> label -> version, as it is now.
        available: gives the loaded versions of a model.
        allow_unavailable: a label that is new, or stays where it was, may
            name a version that is not loaded.

    Returns:
        model -> label -> version.

    Raises:
        StatusError: FAILED_PRECONDITION.
    """
    labels = {}
    for model in config.config:
        labels[model.name] = dict(model.version_labels)
        for label, version in model.version_labels.items():
            before = current.get(model.name, {}).get(label, version)
            allowed = allow_unavailable and before == version
            if version not in available(model.name) and not allowed:
                raise StatusError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model "
                    f"{model.name}, which is not currently available for "
                    "inference",
                )
    return labels
