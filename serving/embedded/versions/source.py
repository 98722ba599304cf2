"""Finds the versions that should be served, in the file system.

Follows TF Serving's
`sources/storage_path/file_system_storage_path_source.cc`.
"""

import logging
import os
from collections.abc import Iterable

from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import status
from yoto_tf.contract.versions import parse_version

_logger = logging.getLogger(__name__)


def poll(
    models: Iterable[model_server_config_pb2.ModelConfig],
) -> dict[str, dict[int, str]]:
    """Reads the base path of every model.

    A missing one is an error: TF Serving then leaves all models as they are
    until the next poll.

    Returns:
        model name -> version -> directory, of the versions that the model's
        policy asks for and that exist.
    """
    return {model.name: _aspired(model) for model in models}


def _aspired(model) -> dict[int, str]:
    try:
        children = sorted(os.listdir(model.base_path))
    except (OSError, ValueError) as error:  # ValueError: a zero in the path
        reason = getattr(error, "strerror", None) or error
        raise status.invalid_argument(
            f"Could not find base path {model.base_path} for servable "
            f"{model.name} with error {reason}"
        ) from error
    found = {
        parse_version(child): os.path.join(model.base_path, child)
        for child in children
    }
    found.pop(None, None)
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    wanted = sorted(found)[-max(policy.latest.num_versions, 1) :]
    if kind == "specific":
        wanted = policy.specific.versions
    elif kind == "all":
        wanted = found
    return {number: found[number] for number in found if number in wanted}
