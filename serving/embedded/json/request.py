"""The body of a REST predict request, in its row and its columnar form.

Follows `FillPredictRequestFromJson` of TF Serving's `util/json_tensor.cc`:
its checks, in its order, with its texts.
"""

import math
from collections.abc import Mapping

import numpy as np

from serving.embedded import status
from serving.embedded.json import text as json_text
from serving.embedded.json.tensor import MAX_RANK
from serving.embedded.json.tensor import dense
from serving.embedded.json.tensor import fill
from serving.embedded.json.tensor import is_base64_object
from serving.embedded.json.tensor import suspects


@json_text.bounded_depth()
def parse(body: bytes) -> dict:
    """The JSON object of a body, whose `signature_name` is a string."""
    document = json_text.parse_object(body)
    if not isinstance(document.setdefault("signature_name", ""), str):
        raise _faulty(
            document,
            "not formatted correctly. 'signature_name' key must be a string "
            "value.",
        )
    return document


@json_text.bounded_depth()
def tensors(document: dict, types: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The inputs of a document, alias -> array.

    Args:
        document: of `parse`; "instances" in it ask for rows.
        types: alias -> DataType of the inputs of its signature.
    """
    if not types:
        raise status.invalid_argument(
            "Failed to get input map for signature: "
            f"{document['signature_name'] or 'DEFAULT'}"
        )
    if "instances" in document:
        return _rows(_instances(document), types)
    if "inputs" in document:
        return _columns(document["inputs"], types)
    raise status.invalid_argument("Missing 'inputs' or 'instances' key")


def _faulty(document: dict, problem: str) -> status.StatusError:
    return status.invalid_argument(
        f"JSON Value: {json_text.echo(document)} {problem}"
    )


def _instances(document: dict) -> list:
    instances = document["instances"]
    if "inputs" in document:
        raise _faulty(
            document,
            "Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist ",
        )
    if not isinstance(instances, list):
        raise _faulty(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise _faulty(document, "No values in 'instances' array")
    return instances


def _columns(value: object, types: Mapping[str, int]) -> dict:
    if not isinstance(value, dict) or is_base64_object(value):
        if len(types) > 1:
            raise status.invalid_argument(
                "inputs is a plain value/list, but expecting an object as "
                "multiple input tensors required as per tensorinfo_map"
            )
        (alias,) = types
        return {alias: fill(value, types[alias])}
    arrays = {}
    for alias in sorted(types):
        if alias not in value:
            raise status.invalid_argument(
                f"Missing named input: {alias} in 'inputs' object."
            )
        arrays[alias] = fill(value[alias], types[alias])
    return arrays


def _rows(instances: list, types: Mapping[str, int]) -> dict:
    first = instances[0]
    if len(types) > 1 and not isinstance(first, dict):
        raise status.invalid_argument(
            "instances is a plain list, but expecting list of objects as "
            "multiple input tensors required as per tensorinfo_map"
        )
    if not _is_named(first):
        # Bytes for several inputs come here too: TF Serving gives them to
        # one input, and Predict then misses the others.
        types = {min(types): types[min(types)]}
    arrays = _dense_rows(instances, types)
    if arrays is None:
        _find_faulty_row(instances, types)
        raise status.invalid_argument(
            f"This server takes tensors of {MAX_RANK} dimensions."
        )
    return arrays


def _dense_rows(instances: list, types: Mapping[str, int]) -> dict | None:
    """The arrays of regular rows, alias -> array, or None if one is odd."""
    if _is_named(instances[0]):
        aliases = set(types)
        if not all(
            _is_named(row) and row.keys() == aliases for row in instances
        ):
            return None
        columns = {alias: [row[alias] for row in instances] for alias in types}
    elif any(map(_is_named, instances)):
        return None
    else:
        columns = dict.fromkeys(types, instances)
    arrays = {}
    for alias, column in columns.items():
        arrays[alias] = dense(column, types[alias])
        if arrays[alias] is None:
            return None
    return arrays


def _find_faulty_row(instances: list, types: Mapping[str, int]) -> None:
    """`FillTensorMapFromInstancesList`, where the error texts come from."""
    named = _is_named(instances[0])
    shapes = {}

    def are_regular(rows: list) -> bool:
        arrays = _dense_rows(rows, types) if shapes else None
        return arrays is not None and all(
            array.shape[1:] == shapes[alias] for alias, array in arrays.items()
        )

    for index, row in suspects(instances, are_regular):
        if named and not _is_named(row):
            raise status.invalid_argument(
                f"Expecting object but got list at item {index} of input list"
            )
        if not named and _is_named(row):
            raise status.invalid_argument(
                "Expecting value/list but got object at item "
                f"{index} of input list"
            )
        values = row if named else dict.fromkeys(types, row)
        for alias, value in values.items():
            key = f" key: {alias}" if named else ""
            try:
                _check_element(value, alias, types, shapes)
            except status.StatusError as error:
                raise status.invalid_argument(
                    f"Failed to process element: {index}{key} of "
                    f"'instances' list. Error: {error}"
                ) from error
        if values.keys() != set(types):
            raise status.invalid_argument(
                f"Failed to process element: {index} of 'instances' list. "
                f"JSON object: {json_text.echo(row)} keys must be equal "
                f"to: {','.join(sorted(types))}"
            )


def _check_element(value, alias, types, shapes: dict) -> None:
    """`AddInstanceItem`: one value of one row."""
    if alias not in types:
        raise status.invalid_argument(
            f"JSON object: does not have named input: {alias}"
        )
    shape = fill(value, types[alias]).shape
    first = shapes.setdefault(alias, shape)
    if math.prod(first) != math.prod(shape):
        raise status.invalid_argument(
            f"Expecting tensor size: {math.prod(first)} but got: "
            f"{math.prod(shape)}"
        )
    if first != shape:
        expected, got = (",".join(map(str, s)) for s in (first, shape))
        raise status.invalid_argument(
            f"Expecting shape [{expected}] but got: [{got}]"
        )


def _is_named(value: object) -> bool:
    """An object of named inputs, not one that stands for bytes."""
    return isinstance(value, dict) and not is_base64_object(value)
