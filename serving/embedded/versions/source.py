"""Finds the versions that should be served, in the file system.

Follows TF Serving's
`sources/storage_path/file_system_storage_path_source.cc`.
"""

import logging
import os
import re
from collections.abc import Iterable

from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import status

_INT64_MAX = 2**63 - 1
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


def parse_version(child: str) -> int | None:
    """The version a name stands for: "00000123" -> 123, "1.tmp" -> None.

    As `safe_strto64`: digits with blanks around and a sign before, at most
    an int64.
    """
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", child, re.ASCII):
        return None
    version = int(child) if len(child) < 30 else _INT64_MAX + 1
    return version if -_INT64_MAX - 1 <= version <= _INT64_MAX else None


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
