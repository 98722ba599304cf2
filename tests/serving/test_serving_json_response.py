"""REST reply bodies, to the digits of their numbers."""

import json
import re

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from serving.embedded.json import response as json_response
from serving.embedded.status import StatusError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9e6, "9e+06"),
        (999999, "999999.0"),
        (0.5, "0.5"),
        (0.0003, "0.0003"),
        (3e-5, "3e-05"),
        (555557.5, "555557.5"),
        (1 / 3, "0.333333343"),
        (0.2, "0.2"),
        (0, "0.0"),
        (-0.0, "-0.0"),
        (np.nan, "NaN"),
        (np.inf, "Infinity"),
        (-np.inf, "-Infinity"),
        (1e-45, "1.4013e-45"),
        (3.4028235e38, "3.40282347e+38"),
    ],
)
def test_float_texts(value, text):
    assert json_response.format_floats(np.float32([value])) == [text]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1 / 3, "0.33333333333333331"), (0.1, "0.1"), (1e300, "1e+300")],
)
def test_double_texts(value, text):
    assert json_response.format_floats(np.float64([value])) == [text]


@hypothesis.given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False))
)
@hypothesis.settings(max_examples=100, deadline=None)
def test_float_texts_give_the_number_back(values):
    array = np.float32(values)
    texts = json_response.format_floats(array)
    np.testing.assert_array_equal(np.float32(texts), array)
    assert all(re.search(r"[.e]", text) for text in texts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_texts_follow_the_rule_for_any_bits(dtype):
    """Against the rule itself, value by value; halves of the last of six
    digits and neighbours of powers of ten among them."""
    rng = np.random.default_rng(0)
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
    near = 10.0 ** np.arange(-30, 30)
    halves = rng.integers(10**5, 10**6, 300) + 0.5
    values = np.concatenate(
        [
            rng.integers(0, np.iinfo(bits).max, 2000, bits).view(dtype),
            rng.uniform(size=300).round(6).astype(dtype),
            near.astype(dtype),
            np.nextafter(near.astype(dtype), dtype(0)),
            (halves * 10.0 ** rng.integers(-20, 20, 300)).astype(dtype),
        ]
    )
    values = values[np.isfinite(values)]
    digits = {np.float32: 9, np.float64: 17}[dtype]
    expected = []
    for value in values.tolist():
        text = f"{value:.6g}"
        with np.errstate(over="ignore"):
            if dtype(float(text)) != value:
                text = f"{value:.{digits}g}"
        expected.append(text if "." in text or "e" in text else text + ".0")
    assert json_response.format_floats(values) == expected


def write(outputs, row_format):
    return json.loads(json_response.write(outputs, row_format))


def test_row_format():
    y = np.float32([[1, 2], [3, 4]])
    assert write({"y": y}, True) == {"predictions": [[1, 2], [3, 4]]}
    assert write({"y": y, "z": np.array([True, False])}, True) == {
        "predictions": [{"y": [1, 2], "z": True}, {"y": [3, 4], "z": False}]
    }


def test_columnar_format():
    y = np.int64([[1, 2], [3, 4]])
    assert write({"y": y}, False) == {"outputs": [[1, 2], [3, 4]]}
    assert write({"y": y, "z": np.uint8(7)[()] * np.ones((), "u1")}, False) == {
        "outputs": {"y": [[1, 2], [3, 4]], "z": 7}
    }


def test_the_bytes_of_a_body():
    """Digits and all; RapidJSON's blanks alone are left out."""
    two = {"y": np.float32([[2.5, 3]]), 'a"': np.array([b"50%"], object)}
    assert json_response.write(two, True) == (
        b'{"predictions": [{"y": [2.5, 3.0], "a\\"": "50%"}]}'
    )
    assert json_response.write(two, False) == (
        b'{"outputs": {"y": [[2.5, 3.0]], "a\\"": ["50%"]}}'
    )


@pytest.mark.parametrize("shape", [(0,), (0, 3), (0, 0, 2)])
@pytest.mark.parametrize("names", [["y"], ["y", "z"]])
def test_an_empty_batch(names, shape):
    outputs = {name: np.zeros(shape, np.float32) for name in names}
    assert write(outputs, True) == {"predictions": []}


def test_rows_without_values():
    outputs = {"y": np.zeros((2, 0), np.float32)}
    assert write(outputs, True) == {"predictions": [[], []]}
    outputs["z"] = np.zeros((2, 0, 3), np.float32)
    assert write(outputs, True) == {"predictions": [{"y": [], "z": []}] * 2}


def test_strings_and_bytes():
    values = np.empty(2, object)
    values[:] = [b"a\n\xc3\xa9", b'"']
    assert write({"text": values}, True) == {"predictions": ["a\né", '"']}
    assert write({"png_bytes": values}, True) == {
        "predictions": [{"b64": "YQrDqQ=="}, {"b64": "Ig=="}]
    }
    # The suffix alone does not make bytes of numbers.
    assert write({"n_bytes": np.int32([1])}, True) == {"predictions": [1]}


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.float32(1)}, "Tensor name: y  has no shape information "),
        (
            {"y": np.zeros(2), "z": np.zeros(3)},
            "Tensor name: z has inconsistent batch size: 3 expecting: 2",
        ),
        (
            {"y": np.zeros(1, np.complex64)},
            "Failed to write JSON value for tensor type: complex64",
        ),
        (
            {"y": np.zeros(1, np.float16)},
            "Failed to write JSON value for tensor type: half",
        ),
        (
            {"y": np.zeros(1, np.uint16)},
            "Failed to write JSON value for tensor type: uint16",
        ),
    ],
)
def test_outputs_without_json_form(outputs, message):
    with pytest.raises(StatusError) as caught:
        json_response.write(outputs, True)
    assert caught.value.message == message
    assert caught.value.http_status == 400
