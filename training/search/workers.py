"""KerasTuner's distributed mode: who this process is, and its chief."""

import os
from dataclasses import dataclass

from yoto_tf.errors import InputError

# A chief prepares the data before it answers.
_SECONDS_TO_FIND_THE_CHIEF = 1800

_NAMES = (
    "KERASTUNER_TUNER_ID",
    "KERASTUNER_ORACLE_IP",
    "KERASTUNER_ORACLE_PORT",
)


@dataclass(frozen=True)
class Role:
    """What this process does in a search.

    Attributes:
        kind: `alone`, `chief` or `worker`.
        address: `IP:PORT` of the chief, or None.
        name: KerasTuner's ID of this process.
    """

    kind: str
    address: str | None = None
    name: str = "tuner0"


def read_role(environment=os.environ):
    """Reads the role from KerasTuner's environment variables.

    Raises:
        InputError: if some are missing or the port is no port.
    """
    values = [environment.get(name) for name in _NAMES]
    if not any(values):
        return Role("alone")
    if not all(values):
        missing = [n for n, v in zip(_NAMES, values, strict=True) if not v]
        raise InputError(
            f"expected all of {', '.join(_NAMES)} or none, received: no "
            f"{' and no '.join(missing)}"
        )
    name, host, port = values
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(
            "expected KERASTUNER_ORACLE_PORT between 1 and 65535, received: "
            f"{port!r}"
        )
    # The rule is KerasTuner's.
    kind = "chief" if "chief" in name else "worker"
    return Role(kind, f"{host}:{port}", name)


def wait_for_chief(role, seconds=_SECONDS_TO_FIND_THE_CHIEF):
    """Returns when the chief of a worker answers.

    Raises:
        InputError: if it does not within `seconds`.
    """
    import grpc

    with grpc.insecure_channel(role.address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=seconds)
        except grpc.FutureTimeoutError:
            raise InputError(
                f"expected a chief at {role.address} within {seconds} s, "
                "received: no answer; start one with KERASTUNER_TUNER_ID="
                "chief, and workers before the search has ended"
            ) from None
