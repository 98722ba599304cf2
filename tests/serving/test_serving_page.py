"""The page's parts, and its handlers against a real embedded server."""

import dataclasses
import json
import re
import socket
import xml.etree.ElementTree

import export_runs
import gradio as gr
import numpy as np
import pytest
import serving_pages
from PIL import Image

from serving.client import Client
from serving.client import InvalidRequest
from serving.client import LossParameter
from serving.client import Unavailable
from serving.page import __main__ as page_command
from serving.page import app
from serving.page import examples
from serving.page import knobs
from serving.page import ports
from serving.page import svg_curve
from serving.page import svg_lines
from serving.page import views
from serving.page.handlers import Handlers
from serving.page.model import Facts
from serving.page.model import Model
from yoto_tf.data import pictures
from yoto_tf.errors import InputError
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.view import VIEW
from yoto_tf.image_config import DataConfig

SIZE, LATENTS = export_runs.SIZE, export_runs.LATENTS


@pytest.fixture(scope="module")
def exported():
    return export_runs.exported("bernoulli", "error")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["grpc", "http"])
def handlers(request, exported, images):
    with serving_pages.server(exported) as server:
        at = {"grpc": server.grpc_port, "http": server.rest_port}
        url = f"{request.param}://127.0.0.1:{at[request.param]}"
        with Client(url, "tiny") as client:
            model = Model(client, "tiny", url)
            yield Handlers(model, lambda shapes: {"image": images})


def point(beta):
    return {"beta": float(beta)}


def beta_of(sliders):
    return {k["name"]: k["value"] for k in sliders["knobs"]}["beta"]


# Knobs.


def knob(scale, low, high, ranges=None, default=None, name="beta"):
    ranges = ranges or ((low, high),)
    trained = f"between {low} and {high}"
    default = low if default is None else default
    return LossParameter(name, trained, scale, "", low, high, default, ranges)


BETA = knob("log", 0.5, 512.0, default=16.0)


@pytest.mark.parametrize(("low", "high"), [(0.5, 512), (0.1, 0.3), (1, 7e4)])
def test_the_grid_is_logarithmic_and_keeps_its_ends(low, high):
    found = knobs.grid(knob("log", low, high))
    assert len(found) == knobs.CURVE_POINTS
    assert (found[0], found[-1]) == (low, high)
    np.testing.assert_allclose(np.diff(np.log(found), n=2), 0, atol=1e-9)


def test_grids_of_other_scales():
    assert knobs.grid(knob("linear", -1.0, 3.0), 5).tolist() == [-1, 0, 1, 2, 3]
    few = knob("choice", 1.0, 9.0, ((1, 1), (4, 4), (9, 9)))
    assert knobs.grid(few).tolist() == [1, 4, 9]
    assert knobs.grid(knob("linear", 4.0, 4.0)).tolist() == [4.0]
    share = knobs.grid(knob("simplex", 0.0, 1.0))
    assert (share[0], share[-1]) == (0.02, 0.98)
    gap = knob("linear", 0.0, 4.0, ((0, 1), (3, 4)))
    assert knobs.grid(gap, 5).tolist() == [0, 1, 3, 4]
    assert knobs.clamped(gap, 1.9) == 1
    assert knobs.clamped(gap, 2.9) == 3


def test_ticks_stand_where_the_logarithm_puts_them():
    def ticks(low, high):
        return knobs.ticks(knob("log", low, high))

    found = {t["label"]: t["percent"] for t in ticks(0.5, 512)}
    assert found.pop("") > 0
    assert list(found) == ["0.5", "1", "10", "100", "512"]
    np.testing.assert_allclose(
        [found[label] for label in found],
        [0, 10, *(10 * (np.log2([10, 100]) + 1)), 100],
        atol=1e-3,
    )
    # 2 to 9 of each decade in between: 0.6 to 0.9, 2 to 90, 200 to 500.
    assert len(ticks(0.5, 512)) == 5 + 4 + 8 + 8 + 4
    # Labels that would touch those of the ends are left out.
    assert [t["label"] for t in ticks(0.95, 1.05e5) if t["label"]] == (
        ["0.95", "10", "100", "1,000", "10,000", "105,000"]
    )
    assert ticks(4, 4) == [{"percent": 50.0, "label": "4"}]


def test_ticks_of_choices_stand_evenly_whatever_they_are():
    few = knob("choice", 0.0, 9.0, ((0, 0), (1, 1), (9, 9)))
    assert knobs.ticks(few) == [
        {"percent": 0, "label": "0"},
        {"percent": 50, "label": "1"},
        {"percent": 100, "label": "9"},
    ]
    linear = [t["label"] for t in knobs.ticks(knob("linear", 0.0, 1.0))]
    assert linear == ["0", "0.25", "0.5", "0.75", "1"]


def test_values_are_rounded_as_they_are_shown_and_kept_in_the_range():
    assert knobs.kept([BETA]) == {"beta": 16}
    assert knobs.kept([BETA], {"beta": 0.1}) == {"beta": 0.5}
    assert knobs.kept([BETA], {"tc": 3}) == {"beta": 16}
    assert knobs.clamped(BETA, 22.6274) == 22.6
    assert knobs.clamped(knob("log", 0.5, 511.5), 511.9) == 511.5
    assert [knobs.text(b) for b in (0.125, 22.6274, 512, 123456)] == [
        "0.125",
        "22.6",
        "512",
        "123,000",
    ]
    assert knobs.strip_indices(33).tolist() == list(range(0, 33, 4))
    assert knobs.strip_indices(1).tolist() == [0]


def test_a_share_takes_from_the_others():
    shares = [knob("simplex", 0.0, 1.0, name=n) for n in "abc"]
    found = knobs.moved(shares, {"a": 0.2, "b": 0.6, "c": 0.2}, "a", 0.6)
    assert found == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1})
    found = knobs.moved(shares, found, "a", np.array([0.2, 0.6]))
    np.testing.assert_allclose(found["b"], [0.6, 0.3])
    (slider,) = knobs.sliders([knob("log", 1.0, 2.0, name="<b>")], {"<b>": 1})[
        "knobs"
    ]
    assert (slider["name"], slider["label"]) == ("<b>", "&lt;b&gt;")
    assert sum(knobs.kept(shares).values()) == pytest.approx(1)
    other = [*shares, knob("log", 0.5, 8.0, name="d")]
    found = knobs.moved(other, {"a": 0.2, "b": 0.6, "c": 0.2, "d": 1}, "d", 2)
    assert found == {"a": 0.2, "b": 0.6, "c": 0.2, "d": 2}


# The curve.


def test_the_curve_is_drawn_to_scale():
    rates, distortions = [30.0, 10.0, 4.0], [100.0, 120.0, 200.0]
    titles = ("rate, nats per image", "distortion, nats per image")
    text = svg_curve.draw(rates, distortions, (20.0, 108.0), titles, "a & <b>")
    svg = xml.etree.ElementTree.fromstring(text)
    points = svg.find("polyline").get("points")
    line = np.array([p.split(",") for p in points.split()], float)
    point = svg.find("circle[@class='point']")
    drawn = np.array([*line, [float(point.get(c)) for c in ("cx", "cy")]])
    given = np.array([*zip(rates, distortions, strict=True), (20.0, 108.0)])
    for axis in (0, 1):
        values, at = given[:, axis], drawn[:, axis]
        slope, offset = np.polyfit(values, at, 1)
        np.testing.assert_allclose(slope * values + offset, at, atol=0.1)
        assert (slope > 0) == (axis == 0)  # more distortion is further up
    assert svg.findall("text")[-1].text == "a & <b>"
    said = " ".join(svg.itertext())
    assert all(title in said for title in titles)


def test_a_curve_of_one_point_is_drawn_too():
    svg = svg_curve.draw([3.0], [100.0], (3.0, 100.0), ("x", "y"), "beta = 4")
    assert "nan" not in svg
    assert svg.count("<circle") == 2


def test_numbers_over_a_knob_stand_where_its_scale_puts_them():
    values, numbers = np.array([0.5, 16.0, 512.0]), np.array([1.0, 3.0, 2.0])
    text = svg_lines.draw(
        BETA, values, {"": numbers}, (4.0, {"": 2.5}), "cost, <nats>"
    )
    svg = xml.etree.ElementTree.fromstring(text)
    line = svg.find("polyline").get("points").split()
    line = np.array([p.split(",") for p in line], float)
    np.testing.assert_allclose(np.diff(line[:, 0], n=2), 0, atol=0.2)
    slope, offset = np.polyfit(numbers, line[:, 1], 1)
    point = svg.find("circle")
    # 4 is three of ten octaves along.
    along = line[0, 0] + 0.3 * (line[-1, 0] - line[0, 0])
    np.testing.assert_allclose(float(point.get("cx")), along, atol=0.1)
    np.testing.assert_allclose(
        float(point.get("cy")), slope * 2.5 + offset, atol=0.1
    )
    assert "cost, <nats>" in " ".join(svg.itertext())
    # An answer that is missing is a gap.
    numbers[1] = np.nan
    assert "nan" not in svg_lines.draw(
        BETA, values, {"": numbers}, (0.5, {"": 1.0}), "cost"
    )


# Views.


@pytest.mark.parametrize("channels", [1, 3])
def test_images_travel_without_loss(channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 5, channels), dtype=np.uint8)
    for given in (image, image / np.float32(255)):
        sent = serving_pages.decoded(views.png_uri(given))
        np.testing.assert_array_equal(sent.reshape(image.shape), image)


FACTS = Facts("<m>", 1, VIEW, (BETA,), (("image", (8, 8, 3)),), 2)


def test_texts_cannot_break_the_page():
    page = views.heading(FACTS, "grpc://<h>") + views.banner("<s>", "<d>")
    page += views.problem("<p>")
    assert not set(re.findall("<[mhsd]>", page))


def test_a_loss_is_shown_where_all_of_its_terms_are():
    outputs = {"rate": 1.0, "distortion": 2.0, "reconstruction": None}
    found = views.numbers(FACTS, outputs, point(4))
    assert "nats per image" in found
    assert ">6.0<" in found
    more = (BETA, knob("log", 0.5, 8.0, name="tc"))
    facts = dataclasses.replace(FACTS, knobs=more)
    found = views.numbers(facts, outputs, {"beta": 4.0, "tc": 1.0})
    assert "full loss" not in found


# Handlers.


def test_facts_come_from_the_server(handlers):
    facts = handlers.model.facts()
    assert (facts.name, facts.version, facts.view) == ("tiny", 1, VIEW)
    assert facts.shapes == (("image", (SIZE, SIZE, 3)),)
    assert facts.noise_size == LATENTS
    assert [(k.name, k.low, k.high) for k in facts.knobs] == [
        ("beta", 0.5, 512.0)
    ]


@pytest.mark.parametrize("curve", ["curve", None])
def test_the_curve_of_an_image_is_the_models_own(
    handlers, exported, images, curve, monkeypatch
):
    """By the signature for it, or by sending the image many times."""
    view = dataclasses.replace(VIEW, curve=curve)
    monkeypatch.setattr(handlers.model, "_view", view)
    points = handlers.model.curve({"image": images[1]}, point(4))
    for i in (0, 15, 32):
        pixels, rate, distortion = serving_pages.expected(
            exported, images[1], points.values[i]
        )
        found = points.outputs
        np.testing.assert_allclose(found["rate"][i], rate, rtol=1e-4)
        np.testing.assert_allclose(
            found["distortion"][i], distortion, rtol=1e-4
        )
        shown = found["reconstruction"][i] * 255
        np.testing.assert_allclose(shown, pixels, atol=0.6)


def test_traversals_move_one_latent_and_are_the_models_own(
    handlers, exported, images
):
    found = handlers.model.traverse({"image": images[1]}, point(0.5))
    beta = np.float32([0.5])
    unit = images[1:2] / np.float32(255)
    code = exported.ask("encode", image=unit, beta=beta)
    mean, stddev = code["mean"][0], code["stddev"][0]
    rates = 0.5 * (mean**2 + stddev**2 - 1) - np.log(stddev)
    numbers = [j for j, _ in found.latents]
    assert numbers == [j for j in np.argsort(-rates)[:6] if rates[j] > 0.01]
    for row, (j, rate) in enumerate(found.latents):
        assert rate == pytest.approx(rates[j], rel=1e-3)
        for k in (0, 3, 6):
            moved = mean.copy()
            moved[j] = found.values[k]
            made = exported.ask("decode", latent=moved[None], beta=beta)
            shown = found.images[row, k]
            np.testing.assert_allclose(shown, made["image"][0], atol=2e-6)
    assert (found.values[0], found.values[-1]) == pytest.approx((-2.4, 2.4))
    page = views.traversals(handlers.model.facts(), found, point(0.5))
    assert page.count("<img") == 7 * len(found.latents)
    assert f"<b>latent {numbers[0]}</b>" in page


def test_a_code_that_tells_nothing_has_no_traversals():
    assert "Nothing, at beta = 4." in views.traversals(FACTS, None, point(4))
    other = dataclasses.replace(VIEW, traversal=None)
    facts = dataclasses.replace(FACTS, view=other)
    assert views.traversals(facts, None, point(4)) == ""


def test_the_page_begins_with_the_first_image_at_the_default(handlers, images):
    page = handlers.begin(handlers.model.facts())
    assert beta_of(page["knobs"]) == beta_of(page["sample_knobs"]) == 16
    caption = page["knobs"]["knobs"][0]["caption"]
    assert caption.startswith("The price of a nat of rate.")
    assert page["wall"]["selected"] == 0
    np.testing.assert_array_equal(page["shown"].example["image"], images[0])
    assert page["noise"].shape == (12, LATENTS)


def test_what_fits_is_kept_when_the_server_is_back(handlers, images):
    facts = handlers.model.facts()
    noise = handlers.new_noise(point(16))["noise"]
    shown = handlers.pick(2, point(16))["shown"]
    points = (point(3), point(5))
    page = handlers.begin(facts, shown, points, noise)
    found = beta_of(page["knobs"]), beta_of(page["sample_knobs"])
    assert found == (3.0, 5.0)
    np.testing.assert_array_equal(page["shown"].example["image"], images[2])
    assert page["wall"]["selected"] == 2
    assert "noise" not in page
    assert 'data-at="beta = 5"' in page["samples"]
    # A new version may take other images and betas.
    other = knob("log", 4.0, 512.0, default=16.0)
    narrow = dataclasses.replace(facts, knobs=(other,))
    small = {"image": images[2][::2, ::2]}
    small = dataclasses.replace(shown, example=small)
    page = handlers.begin(narrow, small, points, noise[:, 1:])
    found = beta_of(page["knobs"]), beta_of(page["sample_knobs"])
    assert found == (4.0, 5.0)
    assert page["wall"]["selected"] == 0
    assert page["noise"].shape == (12, LATENTS)


def test_a_slider_moved_while_the_server_comes_back_stays(handlers):
    facts = handlers.model.facts()
    events = app._Events(handlers, {})
    page = handlers.begin(facts)
    sliders = (page["knobs"], page["sample_knobs"], {"columns": []})
    kept = (page["shown"], page["noise"])
    again = events._look(*sliders, *kept, None, point(16), point(16))
    assert again["seen"] == facts
    assert again["numbers"] == page["numbers"]
    assert not {"knobs", "sample_knobs"} & set(again)
    # Of another model's range nothing can stay as it is.
    other = []
    for given in sliders[:2]:
        (only,) = given["knobs"]
        other.append({**given, "knobs": [{**only, "high": 7.0}]})
    again = events._look(*other, {}, *kept, None, point(16), point(16))
    assert [again["knobs"], again["sample_knobs"]] == list(sliders[:2])
    assert events._look(*sliders, *kept, facts, point(16), point(16)) == {}


def test_another_model_of_the_same_number_has_its_own_curve(handlers):
    """Of which a server that came back between two looks says nothing."""
    facts = handlers.model.facts()
    shown = handlers.begin(facts)["shown"]
    on_curve = float(shown.points.values[3])
    assert "shown" not in handlers.move(shown, point(on_curve))
    assert "shown" not in handlers.move(shown, point(on_curve * 1.01))
    other = dataclasses.replace(
        shown.points,
        outputs={n: 2 * v for n, v in shown.points.outputs.items()},
    )
    page = handlers.move(
        dataclasses.replace(shown, points=other), point(on_curve)
    )
    for name, values in page["shown"].points.outputs.items():
        np.testing.assert_allclose(values, shown.points.outputs[name])
    # One with another name for its input is left to the next look.
    renamed = {"other": shown.example["image"]}
    gone = dataclasses.replace(shown, example=renamed)
    assert handlers.move(gone, point(on_curve)) == {}


def test_a_lost_event_is_caught_up_with(handlers):
    facts = handlers.model.facts()
    events = app._Events(handlers, {})
    page = handlers.begin(facts)
    drawn = (page["shown_at"], page["sampled_at"])
    assert drawn == (point(16), point(16))
    kept = ({}, page["shown"], page["noise"], facts, *drawn)
    moved = knobs.sliders(facts.knobs, point(3))
    caught_up = events._look(moved, page["sample_knobs"], *kept)
    assert caught_up == handlers.move(page["shown"], point(3))
    assert caught_up["shown_at"] == point(3)
    caught_up = events._look(page["knobs"], moved, *kept)
    assert caught_up == handlers.sample(page["noise"], point(3))
    assert caught_up["sampled_at"] == point(3)


def test_events_without_what_they_should_carry_are_refused(handlers):
    events = app._Events(handlers, {})
    page = handlers.begin(handlers.model.facts())
    for sent in (None, {}, {"index": None, "value": None}, {"index": 99}):
        event = gr.EventData(None, sent)
        assert events._pick(page["knobs"], event) == {}
        with pytest.raises(InvalidRequest, match="expected a value of the str"):
            events._jump(page["shown"], page["knobs"], event)
    with pytest.raises(InvalidRequest, match="values of the sliders"):
        events._pick(None, gr.EventData(None, {"index": 0}))
    # A new version may have other knobs than the sliders of an open page.
    (only,) = page["knobs"]["knobs"]
    before = {"moved": 0, "knobs": [{**only, "name": "gamma"}]}
    for handle, *given in (
        (events._turn, page["shown"], before),
        (events._turn_sample, page["noise"], before),
        (events._pick, before, gr.EventData(None, {"index": 0})),
        (events._jump, page["shown"], before, gr.EventData(None, {"value": 1})),
    ):
        with pytest.raises(InvalidRequest, match=r"sliders \['beta'\]"):
            handle(*given)


def test_without_images_the_page_waits_for_a_picture(handlers):
    empty = Handlers(handlers.model, examples.none)
    page = empty.begin(handlers.model.facts())
    assert page["shown"] is None
    assert "Upload a picture" in page["pair"]
    assert page["wall"]["images"] == []
    assert empty.move(None, point(4)) == {}
    assert empty.sample(None, point(4)) == {}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "x.png cannot be read as a picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "x.png cannot be read as a pict"),
        ("cut", "x.png cannot be read as a picture"),
        ("bomb", "x.png has more than 80,000,000 pixels"),
    ],
    ids=["empty", "header", "cut", "bomb"],
)
def test_broken_uploads_get_one_sentence(content, sentence, handlers, tmp_path):
    # What else a name says is not what is wrong.
    path = tmp_path / "my_pixels.png"
    if content == "bomb":
        Image.new("1", (9000, 8900)).save(path)
    elif content == "cut":
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
            path
        )
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.write_bytes(content)
    answer = handlers.upload(path, "x.png", point(4))
    assert list(answer) == ["problem"]
    assert sentence in answer["problem"]


def test_a_grey_model_sees_pictures_in_grey(tmp_path):
    picture = np.zeros((6, 4, 3), np.uint8)
    picture[1:3], picture[3:5] = (255, 255, 255), (0, 0, 255)
    Image.fromarray(picture).save(tmp_path / "x.png")
    seen = pictures.read_square(tmp_path / "x.png", 2, channels=1)
    # ITU-R 601: blue counts 0.114.
    assert seen.tolist() == [[[255], [255]], [[29], [29]]]


def test_an_absent_server_and_a_refusal_are_told_apart(handlers):
    gone = Model(
        Client("grpc://127.0.0.1:1", "tiny", timeout=5, retries=0), "tiny", "u"
    )
    with pytest.raises(Unavailable) as unavailable:
        gone.facts()
    said = handlers.failed(unavailable.value)
    assert "gives no answer. This page goes on by itself" in said["banner"]
    assert said["seen"] is None
    with pytest.raises(InvalidRequest) as refused:
        handlers.model.sample(np.zeros((1, LATENTS + 1)), point(4))
    assert "cannot do this" in handlers.failed(refused.value)["banner"]


# Images to choose from.


def test_a_folders_first_pictures_are_shown_in_order(tmp_path):
    written = serving_pages.write_pictures(tmp_path / "few", 3)
    load = examples.named(str(tmp_path / "few"))
    np.testing.assert_array_equal(
        load({"image": (SIZE, SIZE, 3)})["image"], written
    )
    small = (SIZE // 2, SIZE // 2, 1)
    assert load({"image": small})["image"].shape == (3, *small)
    with pytest.raises(InputError, match="expected a model of pictures for"):
        load({"inputs": (4,)})


def test_what_is_no_data_set_is_refused_without_a_server(tmp_path):
    with pytest.raises(InputError, match=r"expected --data as .*'no_such'"):
        examples.named("no_such")
    with pytest.raises(InputError, match="expected pictures"):
        examples.named(str(tmp_path))


def test_the_manifests_data_set_is_shown_where_it_is_prepared(
    tmp_path, data_dir
):
    def export(number, **data):
        manifest = tmp_path / str(number) / "assets.extra/manifest.json"
        manifest.parent.mkdir(parents=True)
        config = ExperimentConfig(data=DataConfig(**data)).to_dict()
        trained = {"config": config}
        view = VIEW.to_dict() if number > 9 else None
        manifest.write_text(json.dumps({"trained": trained, "view": view}))

    def shown(size, channels, data_dir=None):
        source = examples.of_export(tmp_path, data_dir)
        return source({"image": (size, size, channels)})["image"]

    export(9, name="no_such_data_set")
    assert examples.view_of_export(tmp_path) is None
    export(10, name="rendered_shapes3d/tiny", data_dir=str(data_dir))
    assert examples.view_of_export(tmp_path) == VIEW
    found = shown(64, 3)
    assert found.shape == (24, 64, 64, 3)
    assert len({image.tobytes() for image in found}) == 24
    # A size that was not set is that of the model.
    assert shown(32, 3).shape == (24, 32, 32, 3)
    with pytest.raises(InputError, match=r"shape \(64, 64, 1\), as the model"):
        shown(64, 1)
    with pytest.raises(InputError, match="--data rendered_shapes3d/tiny"):
        shown(64, 3, str(tmp_path / "none"))
    export(11, name="no_such_data_set")
    with pytest.raises(InputError, match="no_such_data_set"):
        shown(64, 3)
    (tmp_path / "12").mkdir()
    assert examples.of_export(tmp_path) is examples.none
    assert examples.of_export(tmp_path / "missing") is examples.none


# Command line.


def test_a_port_is_free_or_named():
    assert ports.free(0, "--page-port") > 1024
    with socket.socket() as taken:
        taken.bind((ports.HOST, 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--page-port {number} .*in use"):
            ports.free(number, "--page-port")
    with pytest.raises(InputError, match="between 0 and 65535.*: 70000"):
        ports.free(70000, "--page-port")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--url", "ftp://x"], "expected an address grpc://HOST:8500 or"),
        (["--page-port", "70000"], "expected --page-port between 0 and 65535"),
        (["--family", "vea"], "expected a family among"),
    ],
)
def test_wrong_command_lines_end_with_one_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        page_command.main(["--model", "m", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}")
    assert said.count("\n") == 1
