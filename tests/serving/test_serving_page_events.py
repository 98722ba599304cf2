"""Which events the page takes for its own."""

import pytest
import serving_pages

from serving.page import app
from serving.page.events import Events
from serving.page.events import Malformed
from serving.page.handlers import Handlers

KNOB = {"name": "beta", "value": 3.0, "low": 0.5, "high": 512}
SLIDER = {"knobs": [KNOB], "moved": 0}
ROW = {"columns": [{"title": "heat", "value": -1.5}]}
FILE = {"path": "x.png", "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def blocks():
    with serving_pages.without_loops_left_behind():
        return app.build(Handlers(None, None))


@pytest.fixture
def event(blocks):
    """Makes an event of one element of the page."""
    names = {n: b.elem_id for n, b in blocks.blocks.items()}
    numbers = {
        (names.get(target), kind): number
        for number, function in blocks.fns.items()
        for target, kind in function.targets
    }

    def made(element, kind, data, details=None, **more):
        return {
            "fn_index": numbers[element, kind],
            "session_hash": "s",
            "data": data,
            "event_data": details,
            **more,
        }

    return made


GOOD = [
    ("knobs", "input", [None, SLIDER], None),
    ("sample-knobs", "input", [None, SLIDER], None),
    ("row", "input", [ROW, SLIDER], None),
    ("new-noise", "click", [SLIDER], None),
    ("wall", "select", [SLIDER], {"index": 3}),
    ("strip", "select", [None, SLIDER], {"value": "0.5"}),
    ("upload", "upload", [FILE, SLIDER], None),
]


@pytest.mark.parametrize("parts", GOOD, ids=lambda parts: parts[0])
def test_the_pages_own_events_are_taken(parts, blocks, event):
    Events(blocks).check(event(*parts))


@pytest.mark.parametrize(
    "value",
    [None, 3.0, "3", [], {}, {"knobs": None}, {"knobs": [3.0]}, {"knobs": []}]
    + [{**SLIDER, "moved": wrong} for wrong in (None, "0", 0.5)]
    + [
        {**SLIDER, "knobs": [{**KNOB, name: wrong}]}
        for name in ("value", "low", "high")
        for wrong in (None, "3", True, [3], float("nan"), 10**400)
    ]
    + [{**SLIDER, "knobs": [{**KNOB, "name": 3}]}],
    ids=str,
)
@pytest.mark.parametrize(
    "parts", [p for p in GOOD if SLIDER in p[2]], ids=lambda parts: parts[0]
)
def test_a_slider_tells_its_numbers(parts, value, blocks, event):
    element, kind, data, details = parts
    data = [value if v is SLIDER else v for v in data]
    with pytest.raises(Malformed, match="expected sliders with numbers"):
        Events(blocks).check(event(element, kind, data, details))


@pytest.mark.parametrize("details", [None, [], 3, {}, {"index": "0"}])
@pytest.mark.parametrize("element", ["wall", "strip"])
def test_a_click_tells_what_was_clicked(element, details, blocks, event):
    data = [SLIDER] if element == "wall" else [None, SLIDER]
    with pytest.raises(Malformed, match="expected event_data with"):
        Events(blocks).check(event(element, "select", data, details))


@pytest.mark.parametrize("value", ["", "x", "nan", "inf", 3, None])
def test_a_value_of_the_strip_is_a_number(value, blocks, event):
    data = [None, SLIDER]
    with pytest.raises(Malformed, match="the value of a button"):
        Events(blocks).check(event("strip", "select", data, {"value": value}))


@pytest.mark.parametrize(
    "row", [None, {}, {"columns": None}, {"columns": [{"value": "1"}]}]
)
def test_a_row_tells_its_numbers(row, blocks, event):
    with pytest.raises(Malformed, match="a row of numbers"):
        Events(blocks).check(event("row", "input", [row, SLIDER]))


@pytest.mark.parametrize("file", [None, "x.png", [], {}, {"path": "x.png"}])
def test_an_upload_tells_its_file(file, blocks, event):
    with pytest.raises(Malformed, match="expected a file"):
        Events(blocks).check(event("upload", "upload", [file, SLIDER]))


@pytest.mark.parametrize(
    "change",
    [
        {"fn_index": 99},
        {"fn_index": -1},
        {"fn_index": "1"},
        {"fn_index": None},
        {"fn_index": [1]},
        {"session_hash": None},
        {"session_hash": {}},
        {"batched": True},
        {"data": None},
        {"data": {}},
        {"data": []},
        {"data": [None, SLIDER, None]},
    ],
    ids=str,
)
def test_an_event_is_one_of_this_page(change, blocks, event):
    good = event("knobs", "input", [None, SLIDER])
    with pytest.raises(Malformed, match="expected"):
        Events(blocks).check({**good, **change})


@pytest.mark.parametrize("event", [[], 3, None, "x", {}])
def test_an_event_is_an_object(event, blocks):
    with pytest.raises(Malformed, match="expected"):
        Events(blocks).check(event)


def _none(shapes):
    return {"image": []}


class _Model:
    def facts(self):
        return self

    shapes = (("image", (4, 4, 3)),)


@pytest.mark.parametrize("index", [-1, 0, 7])
def test_a_click_on_an_image_of_before_changes_nothing(index):
    assert Handlers(_Model(), _none).pick(index, {}) == {}
