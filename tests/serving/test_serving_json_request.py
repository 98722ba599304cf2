"""REST request bodies: what is accepted, and the text of what is not."""

import concurrent.futures
import json
import time

import numpy as np
import pytest
from collector import no_collector
from tensorflow.core.framework import types_pb2

from serving.embedded.json import request as json_request
from serving.embedded.json import text as json_text
from serving.embedded.status import Code
from serving.embedded.status import StatusError

FLOAT = types_pb2.DT_FLOAT
STRING = types_pb2.DT_STRING
TWO = {"image": FLOAT, "beta": FLOAT}
ROW = "Failed to process element: "


def parse(body, types=TWO):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return json_request.tensors(json_request.parse(body), types)


def error_of(body, types=TWO) -> str:
    with pytest.raises(StatusError) as caught:
        parse(body, types)
    assert caught.value.code == Code.INVALID_ARGUMENT
    return caught.value.message


def test_rows_of_objects_are_batched():
    request = parse(
        {
            "signature_name": "s",
            "instances": [
                {"image": [1, 2.5], "beta": 3},
                {"beta": 4, "image": [5, 6]},
            ],
            "unknown key": None,
        }
    )
    np.testing.assert_array_equal(
        request["image"], np.float32([[1, 2.5], [5, 6]])
    )
    np.testing.assert_array_equal(request["beta"], np.float32([3, 4]))
    assert request["beta"].dtype == np.float32


def test_columns_ignore_surplus_inputs_and_need_no_common_batch():
    request = parse({"inputs": {"image": [[1], [2]], "beta": 3, "more": "x"}})
    assert request.keys() == {"image", "beta"}
    assert request["image"].shape == (2, 1)
    assert request["beta"].shape == ()


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ({"instances": [1, 2]}, (2,)),
        ({"instances": [[1], [2]]}, (2, 1)),
        ({"instances": [{"x": 1}]}, (1,)),
        ({"instances": [[], []]}, (2, 0)),
        ({"inputs": [[1, 2]]}, (1, 2)),
        ({"inputs": 1}, ()),
        ({"inputs": {"x": []}}, (0,)),
    ],
)
def test_a_single_input_needs_no_name(body, shape):
    assert parse(body, {"x": FLOAT})["x"].shape == shape


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [1], "inputs": [100]}',
        b'{"inputs": {"x": [1], "x": [100]}}',
        b'{"instances": [1], "instances": [100]}',
        b'{"instances": [{"x": 1, "x": 100}]}',
        b'{"instances": [1.0], "z": 1e3, "instances": [1e2]}',
    ],
)
def test_of_members_of_one_name_the_first_counts(body):
    """As RapidJSON's `FindMember`, by which TF Serving looks them up."""
    found = parse(body, {"x": FLOAT})
    np.testing.assert_array_equal(np.ravel(found["x"]), [1])


def test_what_follows_the_value_and_a_byte_order_mark_are_ignored():
    assert parse(b'\xef\xbb\xbf {"inputs": 1} rest', {"x": FLOAT})


def test_numbers_out_of_the_range_of_floats():
    text = b'{"inputs": [NaN, Infinity, -Infinity, 1e39, -1e39, 1e-60, 7]}'
    found = parse(text, {"x": FLOAT})["x"]
    inf = np.inf
    np.testing.assert_array_equal(
        found, np.float32([np.nan, inf, -inf, inf, -inf, 0, 7])
    )
    assert "too big" in error_of(b'{"inputs": 1e400}', {"x": FLOAT})
    assert "too big" in error_of(b'{"inputs": %s}' % (b"9" * 400), {"x": FLOAT})
    assert "too big" in error_of(b'{"inputs": %s}' % (b"9" * 9999), {"x": 1})
    digits = b"1" + b"0" * 400 + b".0"
    assert "too big" in error_of(b'{"inputs": %s}' % digits, {"x": FLOAT})
    assert parse(b'{"inputs": 1.5e308}', {"x": types_pb2.DT_DOUBLE})


def test_narrow_integers_wrap():
    found = parse({"inputs": [300, -129]}, {"x": types_pb2.DT_INT8})
    assert found["x"].tolist() == [44, 127]


def test_strings_and_bytes():
    body = {"instances": ["é", {"b64": "/+8="}, {"b64": "/+8"}, {"b64": ""}]}
    found = parse(body, {"x": STRING})["x"]
    assert found.tolist() == ["é".encode(), b"\xff\xef", b"\xff\xef", b""]
    raw = parse(b'{"inputs": "\xff"}', {"x": STRING})["x"]
    assert raw[()] == b"\xff"


@pytest.mark.parametrize(
    "text", ["_-8=", "A", "====A", "é", "AA=A", "a\ud800", "QUJD=", "/+8=="]
)
def test_bad_base64(text):
    message = error_of({"instances": [{"b64": text}]}, {"x": STRING})
    assert message == (
        f"{ROW}0 of 'instances' list. Error: INVALID_ARGUMENT: Unable to "
        "base64 decode"
    )


@pytest.mark.parametrize("data_type", [types_pb2.DT_HALF, types_pb2.DT_UINT16])
def test_dtypes_without_json_form(data_type):
    with pytest.raises(StatusError, match="Conversion of JSON") as caught:
        parse({"inputs": [1]}, {"x": data_type})
    assert caught.value.http_status == 501


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b" \n", "JSON Parse error: The document is empty"),
        (b"x", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"a":x}', "JSON Parse error: Invalid value. at offset: 5"),
        (
            b'{"a" 1}',
            "JSON Parse error: Missing a colon after a name of object member."
            " at offset: 5",
        ),
        (
            b'{"a":[1 2]}',
            "JSON Parse error: Missing a comma or ] after an array element. at "
            "offset: 8",
        ),
        (
            b'{"a":"[" "b"}',
            "JSON Parse error: Missing a comma or } after an object member. at "
            "offset: 9",
        ),
        (b"7", "JSON Value: 7 Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
    ],
)
def test_malformed_json(body, message):
    assert error_of(body) == message


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (
            {"inputs": 1, "instances": [2]},
            "Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist ",
        ),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": 1}, "Expecting 'instances' to be an list/array"),
        (
            {"signature_name": 1},
            "not formatted correctly. 'signature_name' key must be a string "
            "value.",
        ),
    ],
)
def test_malformed_request(body, end):
    message = error_of(body)
    assert message.startswith("JSON Value: {")
    assert message.endswith(end)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"instances": [1]},
            "instances is a plain list, but expecting list of objects as "
            "multiple input tensors required as per tensorinfo_map",
        ),
        (
            {"inputs": [1]},
            "inputs is a plain value/list, but expecting an object as multiple"
            " input tensors required as per tensorinfo_map",
        ),
        (
            {"inputs": {"image": [1]}},
            "Missing named input: beta in 'inputs' object.",
        ),
        (
            {"inputs": {"beta": "x", "image": 1}},
            'JSON Value: "x" Type: String is not of expected type: float',
        ),
        (
            {"inputs": {"beta": [[1, 2], [3]], "image": 1}},
            "Encountered list at unexpected size: 1 at level: 1 expected "
            "size: 2",
        ),
        (
            {"inputs": {"beta": [1, [2]], "image": 1}},
            "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            {"inputs": {"beta": [[1], 2], "image": 1}},
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. "
            "Expected at level: 2",
        ),
        (
            {"instances": [{"image": 1, "beta": 2, "gamma": 3}]},
            f"{ROW}0 key: gamma of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: gamma",
        ),
        (
            {"instances": [{"image": 1, "beta": 2}, [1]]},
            "Expecting object but got list at item 1 of input list",
        ),
        (
            {
                "instances": [
                    {"image": [1], "beta": 2},
                    {"image": [1, 2], "beta": 2},
                ]
            },
            f"{ROW}1 key: image of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 1 but got: 2",
        ),
        (
            {
                "instances": [
                    {"image": [1], "beta": 2},
                    {"image": [[1]], "beta": 2},
                ]
            },
            f"{ROW}1 key: image of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting shape [1] but got: [1,1]",
        ),
    ],
)
def test_inputs_that_do_not_fit(body, message):
    assert error_of(body) == message


def test_a_row_without_an_input():
    message = error_of({"instances": [{"image": 1}]})
    assert message.startswith(f"{ROW}0 of 'instances' list. JSON object: {{")
    assert message.endswith("keys must be equal to: beta,image")


def test_an_object_among_plain_values():
    message = error_of({"instances": [1, {"x": 1}]}, {"x": FLOAT})
    assert message == (
        "Expecting value/list but got object at item 1 of input list"
    )


def test_a_signature_without_inputs():
    message = error_of({"inputs": 1}, {})
    assert message == "Failed to get input map for signature: DEFAULT"


def test_depth_is_bounded():
    assert "too deep" in error_of(b'{"a":' + b"[" * 100_000)
    deep = b"[" * 70 + b"1" + b"]" * 70
    assert "70 dimensions" in error_of(b'{"inputs":' + deep + b"}", {"x": 1})


def test_every_depth_is_answered():
    """Reading, looking for the fault and echoing go to different depths."""

    def refused():
        for depth in range(800, 1010):
            lists = b"[" * depth + b'"x"' + b"]" * depth
            for body in (lists, b'{"instances": [%s]}', b'{"inputs": %s}'):
                assert error_of(body.replace(b"%s", lists), {"x": FLOAT})

    # As in the server: a stack that is not pytest's.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(refused).result()


@pytest.mark.parametrize("part", [b"[],", b"{},", b"1,", b'"a",', b"[["])
def test_a_body_of_millions_of_parts(part):
    body = b'{"inputs": [' + part * json_text.MAX_PARTS + b"1]}"
    start = time.thread_time()
    with pytest.raises(StatusError, match="more than 4259840 parts") as caught:
        parse(body, {"x": FLOAT})
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    # Every part would take seconds.
    assert time.thread_time() - start < 2


def test_echoed_values_are_cut():
    assert len(error_of({"instances": "x" * 10_000})) < 1200


HALF = 2**16
NUMBERS, LISTS = b"1.5," * 2 * HALF, b"[1.5]," * HALF


@pytest.mark.parametrize(
    ("body", "types", "words"),
    [
        (b'{"inputs": [%s"x"]}' % NUMBERS, {"x": FLOAT}, '"x" Type: String'),
        (b'{"inputs": [%s1]}' % NUMBERS, {"x": types_pb2.DT_INT32}, "1.5 Type"),
        (b'{"inputs": [%s["x"]]}' % LISTS, {"x": FLOAT}, '"x" Type: String'),
        (b'{"inputs": [%s1]}' % LISTS, {"x": FLOAT}, "incorrect level"),
        (b'{"inputs": [%s1]}' % (b'"a",' * HALF), {"x": STRING}, "1 Type"),
        (b'{"inputs": [%s{"b64": "?"}]}' % (b'"a",' * HALF), {"x": STRING},
         "Unable to base64 decode"),
        (b'{"inputs": %s%s"x"%s}' % (b"[" * 50, NUMBERS, b"]" * 50),
         {"x": FLOAT}, '"x" Type: String'),
        (b'{"instances": [%s"x"]}' % NUMBERS, {"x": FLOAT}, f"{2 * HALF} of"),
        (b'{"instances": [%s[1, 2]]}' % LISTS, {"x": FLOAT}, "size: 1 but"),
        (b'{"instances": [%s{"x": 1}]}' % LISTS, {"x": FLOAT}, "got object"),
        (b'{"instances": [%s{}]}' % (b'{"x": 1},' * HALF), {"x": FLOAT},
         "keys must be equal to: x"),
        (b'{"instances": [[1], [%s"x"]]}' % NUMBERS, {"x": FLOAT}, "1 of"),
        (b'{"instances": 1, "inputs": [%s1]}' % NUMBERS, {"x": FLOAT},
         "only one of"),
        (b"[%s1]" % NUMBERS, {"x": FLOAT}, "Is not object"),
        (b'{"inputs": [%s1 2]}' % NUMBERS, {"x": FLOAT}, "] after an array"),
        (b'{"inputs": [%s1 2]}' % LISTS, {"x": FLOAT}, "] after an array"),
        (b'{"inputs": ["%s" 2]}' % (rb"a\"[" * HALF), {"x": FLOAT},
         "] after an array"),
    ],
)  # fmt: skip
def test_the_text_of_an_error_costs_what_reading_costs(body, types, words):
    # The server keeps Python's collector from TensorFlow's objects; here it
    # would go through them.
    with no_collector():
        start = time.thread_time()
        message = error_of(body, types)
        seconds = time.thread_time() - start
    assert words in message
    assert len(message) < 1500
    # By the square of the parts it would take minutes.
    assert seconds < 10
