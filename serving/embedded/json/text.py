"""JSON as RapidJSON, TF Serving's parser, reads it.

Python's own parser differs in little: the words of its errors, lone
surrogates, and nesting, which TF Serving takes to any depth and Python to
some hundred levels.
"""

import contextlib
import json
import math
import re
from collections.abc import Iterator

from serving.embedded import status

# RapidJSON's texts (rapidjson/error/en.h), by the start of Python's.
_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name": "Missing a name for object member.",
    "Illegal trailing comma": "Invalid value.",
    "Expecting ':'": "Missing a colon after a name of object member.",
    "Invalid \\uXXXX": "Incorrect hex digit after \\u escape in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Unterminated string": "Missing a closing quotation mark in string.",
    "Invalid control": "Invalid encoding in string.",
}
# What may be no double: an exponent of three digits, or hundreds of digits.
_LARGE = re.compile(r"[eE]\+?0*[1-9][0-9]{2}|[0-9]{300}")
_BLANKS = re.compile("[ \t\n\r]*")
_TOO_BIG = "Number too big to be stored in double."
_ECHO_LIMIT = 1024
# A million pixels are 2**20 lists of 3 numbers, in rows and more.
MAX_PARTS = 2**22 + 2**16
_encoder = json.JSONEncoder(indent=4, ensure_ascii=False)


def parse_object(body: bytes) -> dict:
    """Parses a request body.

    `NaN`, `Infinity` and `-Infinity` are numbers, and what follows the first
    value is ignored, as TF Serving's parser flags have it. Bytes that are no
    UTF-8 come through as they are, by surrogate escapes.
    """
    # Two bytes can be a list in a list, which takes Python a hundred and a
    # moment in which it does nothing else: 64 MiB of them take 3 GiB and
    # seconds.
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_PARTS:
        raise status.resource_exhausted(
            f"A request of more than {MAX_PARTS} parts, the limit of this "
            "server.",
        )
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    start = _BLANKS.match(text).end()
    if start == len(text):
        raise status.invalid_argument("JSON Parse error: The document is empty")
    try:
        # A double that overflows is an error in RapidJSON and infinity in
        # Python, whose way to find it is slow.
        strict = _LARGE.search(text)
        decoder = _strict_decoder if strict else _decoder
        value, _ = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _parse_error(error, text) from error
    except (ValueError, OverflowError):  # an integer of thousands of digits
        raise status.invalid_argument(f"JSON Parse error: {_TOO_BIG}") from None
    if not isinstance(value, dict):
        raise status.invalid_argument(
            f"JSON Value: {echo(value)} Is not object"
        )
    return value


@contextlib.contextmanager
def bounded_depth() -> Iterator[None]:
    """Python's limit of depth as an error of the request."""
    try:
        yield
    except RecursionError:
        raise status.invalid_argument(
            "JSON Parse error: nested too deep for this server."
        ) from None


def echo(value: object) -> str:
    """A JSON value for an error text, cut at 1024 characters."""
    text = ""
    for part in _encoder.iterencode(value):
        text += part
        if len(text) > _ECHO_LIMIT:  # of the rest nothing would be seen
            return text[:_ECHO_LIMIT] + "..."
    return text


def type_name(value: object) -> str:
    """RapidJSON's name of a value's type, as error texts have it."""
    names = {dict: "Object", list: "Array", str: "String", bool: str(value)}
    return "Null" if value is None else names.get(type(value), "Number")


def error_body(error: status.StatusError) -> bytes:
    """The body of a failed request: `{"error": "..."}`."""
    text = json.dumps({"error": error.message}, indent=4, ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise OverflowError
    return number


def _first(pairs: list[tuple[str, object]]) -> dict:
    """Of members of one name the first, as RapidJSON finds it."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    found = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


_decoder = json.JSONDecoder(object_pairs_hook=_first)
_strict_decoder = json.JSONDecoder(
    parse_float=_finite, object_pairs_hook=_first
)


def _parse_error(error: json.JSONDecodeError, text: str) -> status.StatusError:
    offset = len(text[: error.pos].encode("utf-8", "surrogateescape"))
    message = "Missing a comma or ] after an array element."
    if error.msg.startswith("Expecting ','") and _in_object(text, error.pos):
        message = "Missing a comma or } after an object member."
    for start, rapidjson_text in _PARSE_ERRORS.items():
        if error.msg.startswith(start):
            message = rapidjson_text
    return status.invalid_argument(
        f"JSON Parse error: {message} at offset: {offset}"
    )


def _in_object(text: str, position: int) -> bool:
    """Whether the innermost bracket open at a position is a brace."""
    text = text[:position]
    try:
        _decoder.raw_decode(text + "}", _BLANKS.match(text).end())
    except json.JSONDecodeError as error:
        return error.pos > position  # the brace was in its place
    return True
