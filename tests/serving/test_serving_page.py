"""The page's parts, and its handlers against a real embedded server."""

import dataclasses
import json
import re
import socket
import xml.etree.ElementTree

import export_runs
import numpy as np
import pytest
import serving_pages
from PIL import Image

from serving.client import Client
from serving.client import InvalidRequest
from serving.client import Unavailable
from serving.page import __main__ as page_command
from serving.page import app
from serving.page import betas
from serving.page import examples
from serving.page import ports
from serving.page import svg_curve
from serving.page import views
from serving.page.handlers import Handlers
from serving.page.model import Facts
from serving.page.model import Model
from yoto_tf.data import pictures
from yoto_tf.errors import InputError

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
            yield Handlers(model, lambda image_shape: images)


# Betas.


@pytest.mark.parametrize(("low", "high"), [(0.5, 512), (0.1, 0.3), (1, 7e4)])
def test_the_grid_is_logarithmic_and_keeps_its_ends(low, high):
    found = betas.grid(low, high)
    assert len(found) == betas.CURVE_POINTS
    assert (found[0], found[-1]) == (low, high)
    np.testing.assert_allclose(np.diff(np.log(found), n=2), 0, atol=1e-9)
    assert betas.grid(4.0, 4.0).tolist() == [4.0]


def test_ticks_stand_where_the_logarithm_puts_them():
    found = {t["label"]: t["percent"] for t in betas.ticks(0.5, 512)}
    assert found.pop("") > 0
    assert list(found) == ["0.5", "1", "10", "100", "512"]
    np.testing.assert_allclose(
        [found[label] for label in found],
        [0, 10, *(10 * (np.log2([10, 100]) + 1)), 100],
        atol=1e-3,
    )
    # 2 to 9 of each decade in between: 0.6 to 0.9, 2 to 90, 200 to 500.
    assert len(betas.ticks(0.5, 512)) == 5 + 4 + 8 + 8 + 4
    # Labels that would touch those of the ends are left out.
    assert [t["label"] for t in betas.ticks(0.95, 1.05e5) if t["label"]] == (
        ["0.95", "10", "100", "1,000", "10,000", "105,000"]
    )
    assert betas.ticks(4, 4) == [{"percent": 50.0, "label": "4"}]


def test_betas_are_rounded_as_they_are_shown_and_kept_in_the_range():
    assert betas.middle(0.5, 512) == 16
    assert betas.clamped(22.6274, 0.5, 512) == 22.6
    assert betas.clamped(511.9, 0.5, 511.5) == 511.5
    assert [betas.text(b) for b in (0.125, 22.6274, 512, 123456)] == [
        "0.125",
        "22.6",
        "512",
        "123,000",
    ]
    assert betas.strip_indices(33).tolist() == list(range(0, 33, 4))
    assert betas.strip_indices(1).tolist() == [0]


# The curve.


def test_the_curve_is_drawn_to_scale():
    rates, distortions = [30.0, 10.0, 4.0], [100.0, 120.0, 200.0]
    text = svg_curve.draw(rates, distortions, 20.0, 108.0, "a & <b>")
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
    assert "rate, nats per image" in said
    assert "distortion, nats per image" in said


def test_a_curve_of_one_point_is_drawn_too():
    svg = svg_curve.draw([3.0], [100.0], 3.0, 100.0, "beta = 4")
    assert "nan" not in svg
    assert svg.count("<circle") == 2


# Views.


@pytest.mark.parametrize("channels", [1, 3])
def test_images_travel_without_loss(channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 5, channels), dtype=np.uint8)
    for given in (image, image / np.float32(255)):
        sent = serving_pages.decoded(views.png_uri(given))
        np.testing.assert_array_equal(sent.reshape(image.shape), image)


def test_texts_cannot_break_the_page():
    facts = Facts("<m>", 1, (8, 8, 3), 2, 0.5, 512.0)
    page = views.heading(facts, "grpc://<h>") + views.banner("<s>", "<d>")
    page += views.problem("<p>")
    assert not set(re.findall("<[mhsd]>", page))
    assert "nats per image" in views.numbers(4.0, 1.0, 2.0)
    assert "6.0" in views.numbers(4.0, 1.0, 2.0)


# Handlers.


def test_facts_come_from_the_server(handlers):
    assert handlers.model.facts() == Facts(
        "tiny", 1, (SIZE, SIZE, 3), LATENTS, 0.5, 512.0
    )


def test_the_curve_of_an_image_is_the_models_own(handlers, exported, images):
    points = handlers.model.curve(images[1])
    for i in (0, 15, 32):
        pixels, rate, distortion = serving_pages.expected(
            exported, images[1], points.betas[i]
        )
        np.testing.assert_allclose(points.rate[i], rate, rtol=1e-4)
        np.testing.assert_allclose(points.distortion[i], distortion, rtol=1e-4)
        shown = points.reconstruction[i] * 255
        np.testing.assert_allclose(shown, pixels, atol=0.6)


def test_the_page_begins_with_the_first_image_in_the_middle(handlers, images):
    page = handlers.begin(handlers.model.facts())
    assert page["beta"]["beta"] == page["sample_beta"]["beta"] == 16
    assert page["wall"]["selected"] == 0
    np.testing.assert_array_equal(page["shown"].image, images[0])
    assert page["noise"].shape == (12, LATENTS)


def test_what_fits_is_kept_when_the_server_is_back(handlers, images):
    facts = handlers.model.facts()
    noise = handlers.new_noise(16.0)["noise"]
    shown = handlers.pick(2, 16.0)["shown"]
    page = handlers.begin(facts, shown, (3.0, 5.0), noise)
    assert (page["beta"]["beta"], page["sample_beta"]["beta"]) == (3.0, 5.0)
    np.testing.assert_array_equal(page["shown"].image, images[2])
    assert page["wall"]["selected"] == 2
    assert "noise" not in page
    assert 'data-beta="5"' in page["samples"]
    # A new version may take other images and betas.
    narrow = dataclasses.replace(facts, beta_low=4.0)
    small = dataclasses.replace(shown, image=images[2][::2, ::2])
    page = handlers.begin(narrow, small, (3.0, 5.0), noise[:, 1:])
    assert (page["beta"]["beta"], page["sample_beta"]["beta"]) == (4.0, 5.0)
    assert page["wall"]["selected"] == 0
    assert page["noise"].shape == (12, LATENTS)


def test_a_slider_moved_while_the_server_comes_back_stays(handlers):
    facts = handlers.model.facts()
    events = app._Events(handlers, {})
    page = handlers.begin(facts)
    sliders = (page["beta"], page["sample_beta"])
    kept = (page["shown"], page["noise"])
    again = events._look(*sliders, *kept, None, 16.0, 16.0)
    assert again["seen"] == facts
    assert again["numbers"] == page["numbers"]
    assert not {"beta", "sample_beta"} & set(again)
    # Of another model's range nothing can stay as it is.
    other = [{**slider, "high": 7.0} for slider in sliders]
    again = events._look(*other, *kept, None, 16.0, 16.0)
    assert [again["beta"], again["sample_beta"]] == list(sliders)
    assert events._look(*sliders, *kept, facts, 16.0, 16.0) == {}


def test_a_lost_event_is_caught_up_with(handlers):
    facts = handlers.model.facts()
    events = app._Events(handlers, {})
    page = handlers.begin(facts)
    drawn = (page["shown_beta"], page["sampled_beta"])
    assert drawn == (16.0, 16.0)
    kept = (page["shown"], page["noise"], facts, *drawn)
    moved = {**page["beta"], "beta": 3.0}
    caught_up = events._look(moved, page["sample_beta"], *kept)
    assert caught_up == handlers.move(page["shown"], 3.0)
    assert caught_up["shown_beta"] == 3.0
    caught_up = events._look(page["beta"], moved, *kept)
    assert caught_up == handlers.sample(page["noise"], 3.0)
    assert caught_up["sampled_beta"] == 3.0


def test_without_images_the_page_waits_for_a_picture(handlers):
    empty = Handlers(handlers.model, examples.none)
    page = empty.begin(handlers.model.facts())
    assert page["shown"] is None
    assert "upload a picture" in page["pair"]
    assert page["wall"] == {"images": [], "selected": -1}
    assert empty.move(None, 4.0) == {}
    assert empty.sample(None, 4.0) == {}


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
    path = tmp_path / "x.png"
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
    answer = handlers.upload(path, "x.png", 4.0)
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
        handlers.model.sample(np.zeros((1, LATENTS + 1)), 4.0)
    assert "cannot do this" in handlers.failed(refused.value)["banner"]


# Images to choose from.


def test_a_folders_first_pictures_are_shown_in_order(tmp_path):
    written = serving_pages.write_pictures(tmp_path / "few", 3)
    load = examples.named(str(tmp_path / "few"))
    np.testing.assert_array_equal(load((SIZE, SIZE, 3)), written)
    assert load((SIZE // 2, SIZE // 2, 1)).shape == (3, SIZE // 2, SIZE // 2, 1)


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
        trained = {"config": {"data": data}}
        manifest.write_text(json.dumps({"trained": trained}))

    export(9, name="no_such_data_set")
    export(10, name="rendered_shapes3d/tiny", data_dir=str(data_dir))
    found = examples.of_export(tmp_path)((64, 64, 3))
    assert found.shape == (24, 64, 64, 3)
    assert len({image.tobytes() for image in found}) == 24
    with pytest.raises(InputError, match=r"shape \(64, 64, 1\), as the model"):
        examples.of_export(tmp_path)((64, 64, 1))
    elsewhere = examples.of_export(tmp_path, str(tmp_path / "none"))
    with pytest.raises(InputError, match="--data rendered_shapes3d/tiny"):
        elsewhere((64, 64, 3))
    export(11, name="no_such_data_set")
    with pytest.raises(InputError, match="no_such_data_set is not prepared"):
        examples.of_export(tmp_path)((64, 64, 3))
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
    ],
)
def test_wrong_command_lines_end_with_one_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        page_command.main(["--model", "m", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}")
    assert said.count("\n") == 1
