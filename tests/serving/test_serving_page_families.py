"""The page of a model with two knobs, and of one whose inputs are rows."""

import contextlib
import dataclasses
import json

import export_runs
import numpy as np
import pytest
import served_families
import serving_models
from serving_models import address

from serving.client import Client
from serving.client import InvalidRequest
from serving.page import app
from serving.page import examples
from serving.page import rows
from serving.page import views
from serving.page.handlers import Handlers
from serving.page.model import CannotShow
from serving.page.model import Model
from yoto_tf.families.fields import Field
from yoto_tf.families.vae.view import VIEW
from yoto_tf.families.view import Input
from yoto_tf.families.view import Output
from yoto_tf.families.view import View


@contextlib.contextmanager
def shown(base, name, source, **more):
    with (
        serving_models.running(base, name, enable_model_warmup=False) as server,
        Client(address(server, "grpc"), name) as client,
    ):
        yield Handlers(Model(client, name, "grpc://", **more), source)


@pytest.fixture(scope="module")
def tc():
    images = (export_runs.images(2) * 255).astype("uint8")
    base = served_families.folder("tc")
    with shown(base, "tc", lambda shapes: {"image": images}) as handlers:
        yield handlers


@pytest.fixture(scope="module")
def alarms():
    def source(shapes):
        return {"inputs": served_families.rows(4)}

    base = served_families.folder("alarms")
    with shown(base, "alarms", source) as handlers:
        yield handlers


@pytest.mark.slow
def test_two_knobs_are_two_sliders_and_a_curve_over_the_first(tc):
    facts = tc.model.facts()
    page = tc.begin(facts)
    names = [k["name"] for k in page["knobs"]["knobs"]]
    assert names == ["beta", "tc"]
    caption = page["knobs"]["knobs"][1]["caption"]
    assert caption == "What a nat of total correlation costs."
    # Its loss has a third term, which is not served.
    assert "full loss" not in page["numbers"]
    shown, start = page["shown"], page["shown_at"]
    assert start == {"beta": 16.0, "tc": 2.0}
    # Along the first, the curve stays; beside it, it is another.
    moved = tc.turn(shown, {**start, "beta": 4.0}, "beta")
    assert "shown" not in moved
    point = {"beta": 4.0, "tc": 8.0}
    moved = tc.turn(shown, point, "tc")
    assert moved["shown"].beside == {"tc": 8.0}
    image = shown.example["image"][None] / np.float32(255)
    values = moved["shown"].points.values
    expected = served_families.tc().reconstruct(
        np.repeat(image, len(values), 0), values, {"tc": 8.0}
    )
    found = moved["shown"].points.outputs["reconstruction"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert "beta = 4, tc = 8" in moved["pair"]
    sampled = tc.sample(page["noise"], point)
    assert 'data-at="beta = 4, tc = 8"' in sampled["samples"]


def expected_probability(row, point):
    asked = {n: np.float32([v]) for n, v in point.items()}
    found = served_families.alarms().predict(
        row[None], loss_parameters=asked, verbose=0
    )
    return found["probability"][0]


def test_rows_get_boxes_and_numbers_over_the_first_knob(alarms):
    facts = alarms.model.facts()
    assert facts.view.signature == "predict"
    assert not facts.is_pictures
    page = alarms.begin(facts)
    assert page["pair"] == page["samples"] == ""
    x = served_families.rows(4)
    boxes = page["row"]["columns"]
    assert [b["title"] for b in boxes] == ["inputs 0", "inputs 1", "inputs 2"]
    np.testing.assert_allclose([b["value"] for b in boxes], x[0], rtol=1e-5)
    assert len(page["wall"]["rows"]) == 4
    assert 'data-without="pictures prior zoom"' in page["heading"]
    # Both numbers over the knob, at its default.
    assert page["curve"].count("<svg") == 2
    point = {"miss": 2.0, "smoothing": 0.1}
    assert page["shown_at"] == point
    points = page["shown"].points
    for i in (0, 16, 32):
        at = {**point, "miss": points.values[i]}
        np.testing.assert_allclose(
            points.outputs["probability"][i],
            expected_probability(x[0], at),
            rtol=1e-4,
        )
    typed = {"columns": [{"value": v} for v in (1.5, -2, 0.25)]}
    page = alarms.edit(typed, {"miss": 10.0, "smoothing": 0.4})
    row = np.float32([1.5, -2, 0.25])
    wanted = expected_probability(row, {"miss": 10.0, "smoothing": 0.4})
    assert f"{wanted:.4g}" in page["numbers"]
    assert page["wall"]["selected"] == -1
    assert "row" not in page
    for wrong in (
        None,
        {},
        {"columns": []},
        {"columns": [{"value": None}] * 3},
    ):
        with pytest.raises(InvalidRequest, match="a number for each of"):
            alarms.edit(wrong, point)


def test_a_typed_row_that_got_lost_is_caught_up_with(alarms):
    facts = alarms.model.facts()
    page = alarms.begin(facts)
    events = app._Events(alarms, {})
    kept = (page["shown"], None, facts, page["shown_at"], page["shown_at"])
    sliders = (page["knobs"], page["knobs"])
    assert events._look(*sliders, page["row"], *kept) == {}
    typed = rows.boxes(facts, {"inputs": np.float32([1, 2, 1 / 3])})
    caught_up = events._look(*sliders, typed, *kept)
    found = caught_up["shown"].example["inputs"]
    np.testing.assert_allclose(found, [1, 2, 1 / 3], rtol=1e-5)


def test_texts_are_chosen_and_ranges_are_said(alarms):
    some = (
        Field("room", ("<hall>", "cellar", "roof")),
        Field("heat", low=-1.5, high=4000.25),
    )
    # Three columns of one field; then one field of two texts, and a number.
    for fields, row, values in (
        (some[:1], [0, 1, 0], [1]),
        (
            (Field("on", ("no", "yes")), some[1], "x"),
            [1, 7.25, 3],
            [1, 7.25, 3],
        ),
    ):
        view = dataclasses.replace(
            NAMED, inputs=(Input("inputs", "row", fields),)
        )
        assert View.from_dict(json.loads(json.dumps(view.to_dict()))) == view
        model = Model(alarms.model._client, "alarms", "grpc://", view)
        facts = model.facts()
        boxes = rows.boxes(facts, {"inputs": np.float32(row)})
        assert [c["value"] for c in boxes["columns"]] == values
        np.testing.assert_array_equal(
            rows.example(facts, boxes)["inputs"], np.float32(row)
        )
        assert rows.holds(facts, boxes, {"inputs": np.float32(row)})
        for wrong in (-1, 3, 0.5):
            boxes["columns"][0]["value"] = wrong
            with pytest.raises(InvalidRequest, match="of a text its place"):
                rows.example(facts, boxes)
    hints = [c["hint"] for c in boxes["columns"]]
    assert hints == ["", "-1.5 to 4,000.25", ""]
    assert rows.label(facts, {"inputs": np.float32(row)}) == "yes · 7.25 · 3"
    thousands = {"inputs": np.float32([0, 1500.25, 2e12])}
    assert rows.label(facts, thousands) == "no · 1,500 · 2e+12"
    # What is not edited is sent as it was, however long it is written.
    for exact in (12345678, 16777217, float(np.float32(1226583.4)), 1 / 3):
        boxes = rows.boxes(facts, {"inputs": np.array([1, 2, exact])})
        sent = rows.example(facts, boxes)["inputs"]
        assert np.float32(sent[2]) == np.float32(exact)
        assert sent[2] == exact or not float(exact).is_integer()
    # Without examples, what lies between.
    np.testing.assert_allclose(rows.first(facts)["inputs"], [0, 2000, 0])
    view = dataclasses.replace(
        NAMED, inputs=(Input("inputs", "row", (some[0], "one more")),)
    )
    model = Model(alarms.model._client, "alarms", "grpc://", view)
    with pytest.raises(CannotShow, match="as a row of 4, received: float32"):
        model.facts()


def test_without_examples_a_row_begins_with_zeros(alarms):
    empty = Handlers(alarms.model, examples.none)
    page = empty.begin(alarms.model.facts())
    assert [c["value"] for c in page["row"]["columns"]] == [0, 0, 0]
    assert page["wall"]["rows"] == []


NAMED = View(
    "predict",
    (Input("inputs", "row", ("heat", "smoke", "<noise>")),),
    (Output("probability", title="alarm", form=".1%"),),
    noun="sensor reading",
)
ONE_COLUMN = Input("inputs", "row", ("a",))


def test_a_view_names_columns_and_outputs(alarms):
    model = Model(alarms.model._client, "alarms", "grpc://", NAMED)
    handlers = Handlers(model, examples.none)
    page = handlers.begin(model.facts())
    titles = [c["title"] for c in page["row"]["columns"]]
    assert titles == ["heat", "smoke", "&lt;noise&gt;"]
    wanted = expected_probability(np.zeros(3, "float32"), page["shown_at"])
    assert f'<dt>alarm</dt><dd class="value">{wanted:.1%}<' in page["numbers"]
    assert page["curve"].count("<svg") == 1
    # Of an export on this machine: tried before the others.
    likely = Model(alarms.model._client, "alarms", "u", likely=[VIEW, NAMED])
    assert likely.facts().view == NAMED


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (VIEW, "expected a signature reconstruct"),
        (
            dataclasses.replace(
                NAMED, inputs=(Input("inputs", "row", ("a",)),)
            ),
            "as a row of 1, received: float32",
        ),
    ],
)
def test_a_view_that_does_not_fit_the_server_is_refused(alarms, view, sentence):
    model = Model(alarms.model._client, "alarms", "grpc://", view)
    with pytest.raises(CannotShow, match=sentence) as refused:
        model.facts()
    said = alarms.failed(refused.value)
    assert "The page cannot show this model." in said["banner"]


def test_a_server_that_tells_of_no_loss_parameters_is_refused(tmp_path):
    serving_models.half_plus(2, tmp_path / "1")
    with (
        shown(tmp_path, "half", examples.none) as handlers,
        pytest.raises(CannotShow, match="tells of its loss parameters"),
    ):
        handlers.model.facts()


def test_several_numbers_are_shown_with_their_labels(alarms):
    output = Output("classes", "numbers", labels=("cat", "<dog>"), unit="nats")
    view = View("predict", (Input("inputs", "row"),), (output,))
    facts = dataclasses.replace(alarms.model.facts(), view=view)
    outputs = {"classes": np.float32([0.25, 0.75])}
    found = views.numbers(facts, outputs, {})
    assert "classes &lt;dog&gt;" in found
    assert ">0.75<" in found
    many = {"classes": np.arange(20.0)}
    view = dataclasses.replace(
        view, outputs=(dataclasses.replace(output, labels=()),)
    )
    facts = dataclasses.replace(facts, view=view)
    assert "and 8 more" in views.numbers(facts, many, {})
