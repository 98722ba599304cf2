"""The body of a REST predict request, in its row and its columnar form.

Follows `FillPredictRequestFromJson` of TF Serving's `util/json_tensor.cc`:
its checks, in its order, with its texts.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np

from serving.embedded import json_text
from serving.embedded.json_tensor import dense
from serving.embedded.json_tensor import fill
from serving.embedded.json_tensor import is_base64_object
from serving.embedded.status import StatusError
from serving.embedded.status import invalid_argument


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A parsed body.

    Attributes:
        signature_name: as sent; empty for the default.
        row_format: `instances` were sent, so `predictions` are due.
        inputs: alias -> array.
    """

    signature_name: str
    row_format: bool
    inputs: dict[str, np.ndarray]


def parse(
    body: bytes, data_types: Callable[[str], Mapping[str, int]]
) -> PredictRequest:
    """Parses a body.

    Args:
        body: the bytes of the request.
        data_types: gives, for a signature name, alias -> DataType of the
            signature's inputs; raises StatusError where there is none.

    Raises:
        StatusError: INVALID_ARGUMENT, UNIMPLEMENTED for inputs without a
            JSON form, or what `data_types` raised.
    """
    document = json_text.parse_object(body)
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {json_text.echo(document)} not formatted correctly."
            " 'signature_name' key must be a string value."
        )
    types = data_types(name)
    if not types:
        raise invalid_argument(
            f"Failed to get input map for signature: {name or 'DEFAULT'}"
        )
    if "instances" in document:
        instances = _instances(document)
        return PredictRequest(name, True, _rows(instances, types))
    if "inputs" in document:
        return PredictRequest(name, False, _columns(document["inputs"], types))
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _instances(document: dict) -> list:
    instances = document["instances"]
    problem = None
    if "inputs" in document:
        problem = (
            "Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    elif not isinstance(instances, list):
        problem = "Expecting 'instances' to be an list/array"
    elif not instances:
        problem = "No values in 'instances' array"
    if problem:
        raise invalid_argument(
            f"JSON Value: {json_text.echo(document)} {problem}"
        )
    return instances


def _columns(value: object, types: Mapping[str, int]) -> dict:
    if not isinstance(value, dict) or is_base64_object(value):
        if len(types) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as "
                "multiple input tensors required as per tensorinfo_map"
            )
        (alias,) = types
        return {alias: _tensor(value, types[alias])}
    arrays = {}
    for alias in sorted(types):
        if alias not in value:
            raise invalid_argument(
                f"Missing named input: {alias} in 'inputs' object."
            )
        arrays[alias] = _tensor(value[alias], types[alias])
    return arrays


def _tensor(value: object, data_type: int) -> np.ndarray:
    array = dense(value, data_type)
    return fill(value, data_type) if array is None else array


def _rows(instances: list, types: Mapping[str, int]) -> dict:
    first = instances[0]
    if len(types) > 1 and not isinstance(first, dict):
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as "
            "multiple input tensors required as per tensorinfo_map"
        )
    columns = _regular_columns(instances, types)
    arrays = {}
    for alias, column in (columns or {}).items():
        array = dense(column, types[alias])
        if array is None:
            break
        arrays[alias] = array
    if len(arrays) == len(types):
        return arrays
    return _rows_one_by_one(instances, types)


def _regular_columns(instances: list, types: Mapping[str, int]) -> dict | None:
    """The instances turned around, alias -> list, or None if one is odd."""
    if not _is_named(instances[0]):
        if len(types) > 1 or any(map(_is_named, instances)):
            return None
        return dict.fromkeys(types, instances)
    aliases = set(types)
    if not all(_is_named(row) and row.keys() == aliases for row in instances):
        return None
    return {alias: [row[alias] for row in instances] for alias in types}


def _rows_one_by_one(instances: list, types: Mapping[str, int]) -> dict:
    """`FillTensorMapFromInstancesList`, where the error texts come from."""
    named = _is_named(instances[0])
    elements = {alias: [] for alias in types}
    for index, row in enumerate(instances):
        if named and not _is_named(row):
            raise invalid_argument(
                f"Expecting object but got list at item {index} of input list"
            )
        if not named and _is_named(row):
            raise invalid_argument(
                f"Expecting value/list but got object at item {index} of input"
                " list"
            )
        if not named:
            # Bytes for several inputs come here too: TF Serving gives them to
            # one input, and Predict then misses the others.
            alias = min(types)
            _add_element(row, alias, types, elements, index, "")
            continue
        for alias, value in row.items():
            _add_element(value, alias, types, elements, index, f" key: {alias}")
        if row.keys() != set(types):
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. "
                f"JSON object: {json_text.echo(row)} keys must be equal to: "
                f"{','.join(sorted(types))}"
            )
    return {
        alias: np.stack(arrays) for alias, arrays in elements.items() if arrays
    }


def _add_element(value, alias, types, elements, index: int, key: str) -> None:
    """`AddInstanceItem`: one value of one row."""
    try:
        if alias not in types:
            raise invalid_argument(
                f"JSON object: does not have named input: {alias}"
            )
        array = fill(value, types[alias])
        arrays = elements[alias]
        if arrays and arrays[0].size != array.size:
            raise invalid_argument(
                f"Expecting tensor size: {arrays[0].size} but got: {array.size}"
            )
        if arrays and arrays[0].shape != array.shape:
            raise invalid_argument(
                f"Expecting shape {_shape(arrays[0])} but got: {_shape(array)}"
            )
        arrays.append(array)
    except StatusError as error:
        raise invalid_argument(
            f"Failed to process element: {index}{key} of 'instances' list. "
            f"Error: {error}"
        ) from error


def _is_named(value: object) -> bool:
    """An object of named inputs, not one that stands for bytes."""
    return isinstance(value, dict) and not is_base64_object(value)


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
