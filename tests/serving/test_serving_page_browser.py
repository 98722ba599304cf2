"""The page in a real Chromium, against a real embedded server."""

import contextlib

import export_runs
import numpy as np
import pytest
import serving_pages
from PIL import Image
from waiting import eventually

from serving.page import examples
from serving.page import launch

pytestmark = pytest.mark.slow

HIGH, LOW, SIZE = serving_pages.HIGH, serving_pages.LOW, serving_pages.SIZE


@pytest.fixture(scope="module")
def exported():
    return export_runs.exported("bernoulli", "error")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "pictures"
    return folder, serving_pages.write_pictures(folder)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with serving_pages.chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="module")
def address(exported, pictures, browser):
    source = examples.named(str(pictures[0]))
    with (
        serving_pages.server(exported) as server,
        launch.page(
            f"grpc://127.0.0.1:{server.grpc_port}",
            "tiny",
            0,
            source,
        ) as url,
    ):
        yield url


@contextlib.contextmanager
def opened(browser, url):
    """A tab with the page; fails for an error in its console."""
    tab = browser.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda m: m.type == "error" and errors.append(m.text))
    try:
        tab.goto(url)
        yield tab
    finally:
        tab.close()
    assert errors == []


@pytest.fixture
def tab(browser, address):
    from playwright.sync_api import expect

    with opened(browser, address) as page:
        page.locator("#strip button").first.wait_for()
        # The parts of one answer are drawn one by one, in no fixed order: a
        # number typed before the slider has its range would be overwritten.
        expect(page.locator("#knobs .exact")).to_have_value("16")
        yield page


def number(tab, slider="#knobs"):
    return float(tab.locator(f"{slider} .exact").input_value())


def expect_beta(tab, beta):
    """Waits until the point on the curve is that of `beta`."""
    from playwright.sync_api import expect

    expect(tab.locator("#curve .label")).to_have_text(f"beta = {beta:g}")


def type_beta(tab, beta, slider="#knobs"):
    tab.locator(f"{slider} .exact").fill(str(beta))
    tab.keyboard.press("Enter")


def drag(tab, share, slider="#knobs"):
    """Drags the handle from the middle by a share of the slider's width."""
    box = tab.locator(f"{slider} .drag").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + share * box["width"], y, steps=12)
    tab.mouse.up()


def check_shown(tab, exported, image, beta):
    """Compares pictures and numbers with the C++ session's own."""
    from playwright.sync_api import expect

    pixels, rate, distortion = serving_pages.expected(exported, image, beta)
    expect(tab.locator("#numbers .value")).to_have_text(
        [
            f"{rate:,.2f}",
            f"{distortion:,.1f}",
            f"{distortion + beta * rate:,.1f}",
        ]
    )
    drawn = tab.locator("#pair img"), tab.locator("#curve .point")

    def as_expected():
        images, point = drawn
        shown = [i.get_attribute("src") for i in images.all()]
        at = [point.get_attribute(f"data-{axis}") for axis in "xy"]
        if len(shown) != 2 or None in (*shown, *at):
            return False
        given, made = map(serving_pages.decoded, shown)
        return (
            np.array_equal(given, image)
            and np.allclose(made.astype(int), pixels, rtol=0, atol=1)
            and np.allclose(
                [*map(float, at)], [rate, distortion], rtol=1e-4, atol=0
            )
        )

    # The parts of one answer are drawn one by one.
    eventually(as_expected)


def test_it_opens_with_an_image_and_asks_nobody_else(
    browser, address, exported, pictures
):
    asked = []
    browser.on("request", lambda request: asked.append(request.url))
    with opened(browser, address) as tab:
        expect_beta(tab, 16)
        check_shown(tab, exported, pictures[1][0], 16)
        assert tab.locator("#wall img").count() == len(pictures[1])
        assert tab.locator("#strip span").all_inner_texts() == (
            "0.5 1.19 2.83 6.73 16 38.1 90.5 215 512".split()
        )
        ticks = tab.locator("#knobs .ticks span").all_inner_texts()
        assert [t for t in ticks if t] == ["0.5", "1", "10", "100", "512"]
        assert "tiny, version 1" in tab.locator("#heading").inner_text()
        rendering = "e => getComputedStyle(e).imageRendering"
        for image in ("#pair img", "#wall img", "#strip img"):
            found = tab.locator(image).first.evaluate(rendering)
            assert found == "pixelated"
    assert asked
    assert [u for u in asked if not u.startswith((address, "data:"))] == []


def test_the_reconstruction_follows_the_handle(tab, exported, pictures):
    drag(tab, 0.25)
    beta = number(tab)
    # Half of the way from 16 to 512 in log(beta), but for the handle's width.
    assert 80 < beta < 105
    expect_beta(tab, beta)
    check_shown(tab, exported, pictures[1][0], beta)
    # Only the handle moved: the curve is of the image alone.
    line = tab.locator("#curve .line").get_attribute("points")
    drag(tab, 0.6)
    expect_beta(tab, HIGH)
    assert tab.locator("#curve .line").get_attribute("points") == line


def test_typed_betas_are_kept_in_the_range(tab, exported, pictures):
    type_beta(tab, 3)
    expect_beta(tab, 3)
    check_shown(tab, exported, pictures[1][0], 3)
    share = np.log(3 / LOW) / np.log(HIGH / LOW)
    drawn = tab.locator("#knobs .drag").evaluate(
        "e => (e.value - e.min) / (e.max - e.min)"
    )
    np.testing.assert_allclose(drawn, share, atol=1e-6)
    type_beta(tab, 100000)
    expect_beta(tab, HIGH)
    type_beta(tab, 0.001)
    expect_beta(tab, LOW)
    type_beta(tab, -1)
    assert number(tab) == LOW


def test_an_event_that_gets_lost_is_caught_up_with(tab, exported, pictures):
    lost = []

    def swallow_the_move(route):
        data = route.request.post_data_json["data"]
        # A look at the server sends more than image and slider.
        if lost or len(data) != 2:
            route.continue_()
        else:
            lost.append(data[1]["knobs"][0]["value"])
            route.fulfill(json={"event_id": "0" * 32})

    tab.route(lambda url: "queue/join" in url, swallow_the_move)
    type_beta(tab, 64)
    expect_beta(tab, 64)
    check_shown(tab, exported, pictures[1][0], 64)
    assert lost == [64]


def test_an_image_is_picked_and_a_beta_of_its_strip(tab, exported, pictures):
    from playwright.sync_api import expect

    # At once: no event may overtake another.
    tab.locator("#wall button").nth(3).click()
    type_beta(tab, 64)
    expect(tab.locator("#wall button").nth(3)).to_have_attribute(
        "aria-pressed", "true"
    )
    assert tab.locator("#wall [aria-pressed=true]").count() == 1
    expect_beta(tab, 64)
    check_shown(tab, exported, pictures[1][3], 64)
    tab.locator("#strip button").last.click()
    expect_beta(tab, HIGH)
    assert number(tab) == HIGH
    check_shown(tab, exported, pictures[1][3], HIGH)
    last = tab.locator("#strip img").last.get_attribute("src")
    pixels, _, _ = serving_pages.expected(exported, pictures[1][3], HIGH)
    strip = serving_pages.decoded(last).astype(int)
    np.testing.assert_allclose(strip, pixels, atol=1)
    expect(tab.locator("#traversals [data-at]")).to_have_attribute(
        "data-at", f"beta = {HIGH:g}"
    )


def test_a_picture_is_uploaded_and_a_broken_one_is_not(tab, exported, tmp_path):
    from playwright.sync_api import expect

    rng = np.random.default_rng(2)
    wide = rng.integers(0, 256, (2 * SIZE, 3 * SIZE, 3), dtype=np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    upload = tab.locator("#upload input[type=file]")
    before = tab.locator("#pair img").first.get_attribute("src")
    upload.set_input_files(tmp_path / "wide.png")
    expect(tab.locator("#pair img").first).not_to_have_attribute("src", before)
    expect(tab.locator("#wall [aria-pressed=true]")).to_have_count(0)
    seen = serving_pages.decoded(
        tab.locator("#pair img").first.get_attribute("src")
    )
    middle = wide[:, SIZE // 2 : SIZE // 2 + 2 * SIZE]
    average = middle.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3))
    assert np.abs(seen - average).max() <= 1
    check_shown(tab, exported, seen, 16)

    (tmp_path / "notes.png").write_text("not a picture")
    upload.set_input_files(tmp_path / "notes.png")
    expect(tab.locator("#problem")).to_have_text(
        "notes.png cannot be read as a picture; upload a JPEG, PNG, WebP, "
        "GIF or BMP file."
    )
    check_shown(tab, exported, seen, 16)
    tab.locator("#wall button").first.click()
    expect(tab.locator("#problem")).to_have_text("")


def test_samples_of_the_same_noise_change_with_beta(tab, exported):
    from playwright.sync_api import expect

    # What happens before a tab is opened for the first time is not lost.
    type_beta(tab, 3)
    expect_beta(tab, 3)
    tab.get_by_role("tab", name="Sample from the prior").click()
    at = "#samples [data-at='beta = {}']".format
    images = tab.locator("#samples img")

    def pixels():
        return [
            serving_pages.decoded(i.get_attribute("src")) for i in images.all()
        ]

    tab.locator(at(16)).wait_for()
    first = pixels()
    assert len(first) == 12
    drag(tab, 0.6, "#sample-knobs")
    tab.locator(at(512)).wait_for()
    assert number(tab, "#sample-knobs") == HIGH
    latents = np.random.default_rng(0).standard_normal(
        (12, export_runs.LATENTS), "float32"
    )
    answer = exported.ask(
        "sample", noise=latents, beta=np.full(12, HIGH, np.float32)
    )
    np.testing.assert_allclose(pixels(), answer["image"] * 255, atol=1)
    assert np.abs(np.subtract(pixels(), first, dtype=int)).max() > 1

    type_beta(tab, 16, "#sample-knobs")
    tab.locator(at(16)).wait_for()
    np.testing.assert_array_equal(pixels(), first)
    old = images.first.get_attribute("src")
    tab.get_by_role("button", name="New noise").click()
    expect(images.first).not_to_have_attribute("src", old)


def test_a_phone_shows_all_of_it(tab):
    tab.set_viewport_size({"width": 375, "height": 700})
    width = "() => document.scrollingElement.scrollWidth"
    assert tab.evaluate(width) <= 375
    for part in ("#knobs .drag", "#pair", "#curve svg", "#strip"):
        box = tab.locator(part).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 375


def test_the_server_goes_and_comes_back(browser, exported, pictures):
    from playwright.sync_api import expect

    port = serving_pages.free_port()
    with (
        launch.page(
            f"grpc://127.0.0.1:{port}",
            "tiny",
            0,
            examples.named(str(pictures[0])),
        ) as url,
        opened(browser, url) as tab,
    ):
        banner = tab.locator(".banner")
        # The page may be there before its server.
        expect(banner).to_contain_text(f"grpc://127.0.0.1:{port} gives no")
        with serving_pages.server(exported, port):
            expect_beta(tab, 16)
            expect(banner).to_have_count(0)
            tab.locator("#wall button").nth(2).click()
            check_shown(tab, exported, pictures[1][2], 16)
            type_beta(tab, 100)
            check_shown(tab, exported, pictures[1][2], 100)
        type_beta(tab, 50)
        expect(banner).to_contain_text("goes on by itself")
        with serving_pages.server(exported, port):
            expect(banner).to_have_count(0)
            check_shown(tab, exported, pictures[1][2], 50)
            drag(tab, -0.6)
            expect_beta(tab, LOW)
            check_shown(tab, exported, pictures[1][2], LOW)
