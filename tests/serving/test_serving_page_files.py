"""The page of a model whose answers are set beside JPEG and WebP files."""

import io

import compression_models
import numpy as np
import pytest
import served_families
import serving_models
import serving_pages
from compression_models import photo
from PIL import Image
from serving_models import address

from serving.client import Client
from serving.page import compared
from serving.page import percent
from serving.page.examples import view_of_export
from serving.page.handlers import Handlers
from serving.page.model import Model
from yoto_tf.compression.codec import Codec
from yoto_tf.data.pictures import read_within
from yoto_tf.errors import InputError
from yoto_tf.families.compression.view import VIEW
from yoto_tf.families.view import View


@pytest.fixture(scope="module")
def server():
    base = served_families.folder("compression")
    with serving_models.running(
        base, "compression", enable_model_warmup=False
    ) as server:
        yield server


@pytest.fixture(scope="module")
def view():
    return view_of_export(served_families.folder("compression"))


@pytest.fixture(scope="module")
def client(server):
    with Client(address(server, "grpc"), "compression") as client:
        yield client


@pytest.fixture(scope="module")
def handlers(client, view):
    pictures = np.stack([photo(128, 192, seed) for seed in range(2)])
    model = Model(client, "compression", "grpc://", likely=[view])
    return Handlers(model, lambda shapes: {"image": pictures})


def test_the_knob_is_the_quality_of_files(handlers):
    facts = handlers.model.facts()
    page = handlers.begin(facts)
    [knob] = page["knobs"]["knobs"]
    assert (knob["name"], knob["low"], knob["high"]) == ("quality", 0, 100)
    assert "pictures of any size" in page["heading"]
    codec = Codec(compression_models.tiny())
    pixels = page["shown"].example["image"]
    for quality in (0.0, 40.0, 100.0):
        found = handlers.model.answer({"image": pixels}, {"quality": quality})
        wanted = codec.estimate(pixels, quality)
        made = codec.decompress(codec.compress(pixels, quality))
        np.testing.assert_allclose(found["image"] * 255, made, atol=1.01)
        bits = found["bits_per_pixel"] * pixels[..., 0].size
        assert bits + 8 * 36 == pytest.approx(wanted.bits, rel=1e-3)
        assert found["psnr"] == pytest.approx(wanted.psnr, abs=0.02)
    # Its curve, in as few requests as hold the pictures.
    points = page["shown"].points
    np.testing.assert_allclose(points.values, np.linspace(0, 100, 7))
    wanted = [codec.estimate(pixels, q).psnr for q in points.values[::3]]
    np.testing.assert_allclose(points.outputs["psnr"][::3], wanted, atol=0.02)


def test_files_of_the_same_size_are_beside_it(handlers):
    page = handlers.begin(handlers.model.facts())
    shown = page["shown"]
    moved = handlers.move(shown, {"quality": 70.0})
    assert moved["pair"].count("<img") == 4
    assert "Original</b> 192 × 128 pixels" in moved["pair"]
    assert "This model at quality = 70</b>" in moved["pair"]
    pixels = shown.example["image"]
    codec = Codec(compression_models.tiny())
    written = len(codec.compress(pixels, 70))
    found = handlers.model.answer(shown.example, {"quality": 70.0})
    ours, *others = compared.pictures(VIEW.files, pixels, found, "")[1:]
    num = int(ours.said.split(" bytes")[0].replace(",", ""))
    # Words of four bytes, and what a coder is above the entropy.
    assert num == pytest.approx(written, rel=0.01, abs=16)
    for one in others:
        size = int(one.said.split(" bytes")[0].replace(",", ""))
        assert 0.8 * num < size <= num
        error = np.square(pixels.astype(float) - one.pixels).mean()
        assert f"{10 * np.log10(255**2 / error):.2f} dB" in one.said


@pytest.mark.parametrize("codec", ["JPEG", "WebP"])
def test_the_best_file_of_a_size_is_found(codec):
    pixels = photo(64, 96)
    sizes = {}
    for quality in range(1, 101):
        file = io.BytesIO()
        options = compared._OPTIONS[codec]
        Image.fromarray(pixels).save(file, codec, quality=quality, **options)
        sizes[quality] = len(file.getvalue())
    for most in (1500, 3000, 10**6):
        quality, data = compared.of_size(pixels, codec, most)
        assert len(data) == sizes[quality] <= most
        assert quality == 100 or sizes[quality + 1] > most
    quality, data = compared.of_size(pixels, codec, 10)
    assert (quality, len(data)) == (1, sizes[1])


def test_pictures_of_any_size_are_uploaded(handlers, tmp_path):
    handlers.begin(handlers.model.facts())
    pixels = photo(150, 130)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    page = handlers.upload(str(tmp_path / "in.png"), "in.png", {"quality": 5.0})
    # The middle of it, as it is.
    np.testing.assert_array_equal(
        page["shown"].example["image"], pixels[11:139, 1:129]
    )
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    page = handlers.upload(str(tmp_path / "broken.png"), "b", {"quality": 5.0})
    assert "cannot be read as a picture" in page["problem"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((128, 64), (128, 64)),
        ((10, 7), (64, 64)),
        ((1000, 500), (512, 256)),
        ((9000, 10), (2048, 64)),
    ],
)
def test_sides_are_multiples_and_pixels_few(tmp_path, size, expected):
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "in.png")
    found = read_within(tmp_path / "in.png", 2**17, 64)
    assert found.shape == (expected[1], expected[0], 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[5, 5], [10, 200, 30])


def test_what_is_transparent_lies_over_white(tmp_path):
    rgba = np.dstack([photo(64, 64), np.zeros((64, 64), "uint8")])
    rgba[:, 32:, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "in.png")
    found = read_within(tmp_path / "in.png", 2**20, 64)
    assert (found[:, :32] == 255).all()
    np.testing.assert_array_equal(found[:, 32:], rgba[:, 32:, :3])
    (tmp_path / "none.png").write_bytes(b"none")
    with pytest.raises(InputError, match="none.png"):
        read_within(tmp_path / "none.png", 2**20, 64)


def test_a_view_of_files_goes_through_json_and_is_checked(client, view):
    assert view == View.from_dict(VIEW.to_dict()) == VIEW
    metadata = client.metadata()
    signatures = metadata.signatures
    assert VIEW.problem(signatures, ["lmbda"]) is None
    for part, name, sentence in (
        ("files", "picture", "picture and bits of files"),
        ("percent", "parameter", "a loss parameter psnr"),
    ):
        changed = VIEW.to_dict()
        changed[part][name] = "psnr"
        problem = View.from_dict(changed).problem(signatures, ["lmbda"])
        assert sentence in problem
    # The ends of the quality are those of lambda, and not beyond.
    known = metadata.loss_parameters
    for place, end in ((0.0, "low"), (100.0, "high")):
        asked = percent.asked(VIEW, known, {"quality": place})
        assert asked == {"lmbda": getattr(known["lmbda"], end)}


@pytest.mark.slow
def test_pictures_are_magnified_at_one_place(server, view, tmp_path):
    from playwright.sync_api import expect

    pictures = np.stack([photo(128, 192, seed) for seed in range(2)])
    with (
        serving_pages.chromium(tmp_path) as context,
        serving_pages.launched(
            f"grpc://127.0.0.1:{server.grpc_port}",
            "compression",
            0,
            lambda _: {"image": pictures},
            likely=[view],
        ) as url,
    ):
        tab, errors = context.new_page(), []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(url)
        tab.locator("#strip button").first.wait_for()
        frames = tab.locator("#pair .frame img")
        expect(frames).to_have_count(4)
        tab.locator("#zoom input").nth(2).check()
        box = tab.locator("#pair .frame").nth(1).bounding_box()
        tab.mouse.move(
            box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
        )
        wide = [frames.nth(i).bounding_box()["width"] for i in range(4)]
        np.testing.assert_allclose(wide, 4 * box["width"], rtol=0.01)
        left = [
            frames.nth(i).bounding_box()["x"]
            - tab.locator("#pair .frame").nth(i).bounding_box()["x"]
            for i in range(4)
        ]
        # The place under the pointer stays under it.
        np.testing.assert_allclose(left, -3 / 4 * box["width"], atol=3)
        # And so it is after another answer.
        tab.locator("#strip button").last.click()
        caption = tab.locator("#pair figcaption b").nth(1)
        expect(caption).to_have_text("This model at quality = 100")
        assert frames.nth(2).bounding_box()["width"] > 3 * box["width"]
        assert errors == []
