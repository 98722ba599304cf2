"""What an event of the page has to say, before Gradio takes it for one.

Gradio hands on whatever a request brings, so that a slider without its value
would be a traceback in the log.
"""

import math

import gradio as gr


class Malformed(Exception):
    """The message says what was expected."""


class Events:
    """The events of a page.

    Args:
        blocks: `gradio.Blocks` of the page.
    """

    def __init__(self, blocks):
        self._blocks = blocks
        self._functions = blocks.fns
        self._names = {
            number: block.elem_id for number, block in blocks.blocks.items()
        }

    def is_waiting(self, session):
        """Whether a session has an event whose answer is not yet fetched.

        Gradio tells of any other only after the stream of answers has begun:
        with an exception.
        """
        # Of its queue, which nothing public tells.
        return session in self._blocks._queue.pending_messages_per_session

    def check(self, event):
        """Refuses what the page itself would not send.

        Args:
            event: of a request, from JSON.

        Raises:
            Malformed: if it is another one.
        """
        if not isinstance(event, dict):
            raise Malformed("expected an event as a JSON object")
        number, data = event.get("fn_index"), event.get("data")
        if type(number) is not int or number not in self._functions:
            raise Malformed("expected fn_index of an event of this page")
        if event.get("batched") or not isinstance(
            event.get("session_hash"), str
        ):
            raise Malformed("expected one event with its session_hash")
        function = self._functions[number]
        inputs = function.inputs
        if not isinstance(data, list) or len(data) != len(inputs):
            raise Malformed(f"expected data as a list of {len(inputs)}")
        for component, value in zip(inputs, data, strict=True):
            _check_value(component, value)
        for target, _ in function.targets:
            _check_details(self._names.get(target), event.get("event_data"))


def _check_value(component, value):
    if isinstance(component, gr.File):
        if not isinstance(value, dict) or value.get("meta") != {
            "_type": "gradio.FileData"
        }:
            raise Malformed("expected a file as gradio.FileData")
    elif component.elem_id in ("knobs", "sample-knobs"):
        _check_sliders(value)
    elif component.elem_id == "row":
        _check_list(value, "columns", ("value",), "a row of numbers")
    # Its states stay on this side, whatever is sent for them.


def _check_sliders(value):
    said = "sliders with numbers value, low and high, and the one moved"
    _check_list(value, "knobs", ("value", "low", "high"), said)
    if type(value.get("moved")) is not int or not all(
        isinstance(knob.get("name"), str) for knob in value["knobs"]
    ):
        raise Malformed(f"expected {said}")


def _check_list(value, name, numbers, said):
    parts = value.get(name) if isinstance(value, dict) else None
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and all(_is_number(part.get(n)) for n in numbers)
        for part in parts
    ):
        raise Malformed(f"expected {said}")


def _check_details(name, details):
    """What came with a click on the wall of examples or on the strip."""
    if name not in ("wall", "strip"):
        return
    details = details if isinstance(details, dict) else {}
    if name == "wall" and type(details.get("index")) is not int:
        raise Malformed("expected event_data with the index of an example")
    if name == "strip" and not _is_number_as_text(details.get("value")):
        raise Malformed("expected event_data with the value of a button")


def _is_number_as_text(value):
    """As buttons of a page hold it."""
    try:
        return isinstance(value, str) and _is_number(float(value))
    except ValueError:
        return False


def _is_number(value):
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False
