"""What an event of the page has to say, before Gradio takes it for one.

Gradio hands on whatever a request brings; a list of another length would be a
traceback in the log. What the values say is judged by the page's handlers.
"""

import gradio as gr


class Malformed(Exception):
    """The message says what was expected."""


class Events:
    """The events of a page.

    Args:
        blocks: `gradio.Blocks` of the page.
    """

    def __init__(self, blocks):
        self._functions = blocks.fns

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
            if isinstance(component, gr.File) and (
                not isinstance(value, dict)
                or value.get("meta") != {"_type": "gradio.FileData"}
            ):
                raise Malformed("expected a file as gradio.FileData")
