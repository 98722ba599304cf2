"""Schemas of custom resources, from the Python clients that their projects
publish, which were generated from their OpenAPI:

    pip download --no-deps kubeflow-trainer-api==2.3.0 kserve==0.21.0
    python tests/schemas/from_clients.py WHEEL [WHEEL]

A wheel is read, not installed. What is Kubernetes' own stays open:
`kubernetes-validate` knows it.
"""

import ast
import json
import pathlib
import re
import sys
import textwrap
import zipfile
from email.parser import Parser

FOLDER = pathlib.Path(__file__).parent
OPEN = {"type": "object"}
NUMBERS = {
    "str": {"type": "string"},
    "StrictStr": {"type": "string"},
    "int": {"type": "integer"},
    "StrictInt": {"type": "integer"},
    "bool": {"type": "boolean"},
    "StrictBool": {"type": "boolean"},
}

# Project of a wheel -> the resource, its class, the classes that are followed
# beside it, and the file.
RESOURCES = {
    "kubeflow_trainer_api": (
        {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet"},
        "JobsetV1alpha2JobSet",
        r"JobsetV1alpha2\w+",
        "jobset.json",
    ),
    "kserve": (
        {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"},
        "V1beta1InferenceService",
        r"V1beta1(InferenceServiceSpec|PredictorSpec|Model\w+)",
        "inference_service.json",
    ),
}


def pydantic_class(node):
    """`(properties, required)` of a class with annotated fields."""
    properties, required = {}, []
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(
            field.value, ast.Call
        ):
            continue
        given = {k.arg: k.value for k in field.value.keywords}
        name = field.target.id
        if "alias" in given:
            name = given["alias"].value
        text = ast.unparse(field.annotation)
        inner = re.fullmatch(r"Optional\[(.+)\]", text)
        if not inner:
            required.append(name)
        properties[name] = inner[1] if inner else text
    return properties, required


def openapi_class(node):
    """`(properties, required)` of a class with `openapi_types`."""
    values = {
        field.targets[0].id: ast.literal_eval(field.value)
        for field in node.body
        if isinstance(field, ast.Assign)
    }
    names = values["attribute_map"]
    start = next(f for f in node.body if getattr(f, "name", "") == "__init__")
    words = [a.arg for a in start.args.args[1:]]
    defaults = dict(zip(words, start.args.defaults, strict=True))
    needed = re.findall(
        r"Invalid value for `(\w+)`, must not be `None`", ast.unparse(node)
    )
    # A name of "" is one that Kubernetes' containers need and these do not.
    required = [n for n in needed if defaults[n].value is None]
    types = values["openapi_types"]
    return {names[n]: t for n, t in types.items()}, [names[n] for n in required]


def typed(text, classes, followed):
    """The schema of a type, as the clients write it."""
    if found := re.fullmatch(r"(?:List|list)\[(.+)\]", text):
        return {"type": "array", "items": typed(found[1], classes, followed)}
    if found := re.fullmatch(r"(?:Dict\[StrictStr|dict\(str), (.+)[\])]", text):
        values = typed(found[1], classes, followed)
        return {"type": "object", "additionalProperties": values}
    if text in NUMBERS:
        return NUMBERS[text]
    if text in classes and re.fullmatch(followed, text):
        return {"$ref": f"#/$defs/{text}"}
    return {} if "IntOrString" in text or "Quantity" in text else OPEN


def classes_of(wheel, package):
    """Name -> `(properties, required)` of the classes of a client."""
    found = {}
    for name in wheel.namelist():
        if not re.fullmatch(rf"{package}/models/\w+\.py", name):
            continue
        for node in ast.parse(wheel.read(name)).body:
            if isinstance(node, ast.ClassDef):
                read = (
                    openapi_class
                    if "openapi_types" in ast.unparse(node)
                    else pydantic_class
                )
                found[node.name] = read(node)
    return found


def schema_of(path):
    """`(file name, schema)` for a wheel."""
    with zipfile.ZipFile(path) as wheel:
        (metadata,) = [
            n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")
        ]
        facts = Parser().parsestr(wheel.read(metadata).decode())
        package = facts["Name"].replace("-", "_")
        constants, root, followed, file = RESOURCES[package]
        classes = classes_of(wheel, package)
    followed = f"{root}|{followed}"
    definitions, waiting = {}, [root]
    while waiting:
        name = waiting.pop()
        if name in definitions or "Status" in name:
            continue
        properties, required = classes[name]
        made = {n: typed(t, classes, followed) for n, t in properties.items()}
        definitions[name] = {
            "type": "object",
            "properties": made,
            "required": sorted(required),
            "additionalProperties": False,
        }
        waiting += re.findall(r"#/\$defs/(\w+)", json.dumps(made))
    root_schema = definitions[root]
    # Written by the cluster.
    root_schema["properties"]["status"] = OPEN
    for name, value in constants.items():
        root_schema["properties"][name] = {"const": value}
    root_schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    license_ = facts["License-Expression"] or facts["License"]
    return file, {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Fields of {facts['Name']} {facts['Version']} "
        f"({license_}), by tests/schemas/from_clients.py; Kubernetes' own "
        "types are left open.",
        "$ref": f"#/$defs/{root}",
        "$defs": dict(sorted(definitions.items())),
    }


def main():
    if len(sys.argv) < 2:
        raise SystemExit(textwrap.dedent(__doc__))
    for path in sys.argv[1:]:
        file, schema = schema_of(path)
        text = json.dumps(schema, indent=1, sort_keys=False)
        (FOLDER / file).write_text(f"{text}\n")


if __name__ == "__main__":
    main()
