"""The page in Chromium: two sliders, and a table."""

import contextlib

import export_runs
import numpy as np
import pytest
import served_families
import serving_models
import serving_pages

from serving.page.examples import view_of_export

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def opened(name, examples, profile):
    from playwright.sync_api import expect

    base = served_families.folder(name)
    with (
        serving_models.running(base, name, enable_model_warmup=False) as server,
        serving_pages.chromium(profile) as context,
        serving_pages.launched(
            f"grpc://127.0.0.1:{server.grpc_port}",
            name,
            0,
            lambda _: examples,
            likely=[view_of_export(base)],
        ) as url,
    ):
        tab, errors = context.new_page(), []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(url)
        tab.locator("#strip button").first.wait_for()
        # The parts of an answer are drawn in no fixed order.
        boxes = tab.locator("#knobs .exact")
        expect(boxes.first).not_to_have_value("")
        expect(boxes.last).not_to_have_value("")
        yield tab
        assert errors == []


def typed(tab, box, value):
    tab.locator(box).fill(str(value))
    tab.keyboard.press("Enter")


def test_each_of_two_sliders_moves_its_own_value(tmp_path):
    from playwright.sync_api import expect

    images = (export_runs.images(2) * 255).astype("uint8")
    with opened("tc", {"image": images}, tmp_path) as tab:
        expect(tab.locator("#knobs .drag")).to_have_count(2)
        line = tab.locator("#curve .line")
        before = line.get_attribute("points")
        typed(tab, "#knobs [data-name=beta] .exact", 4)
        caption = tab.locator("#pair figcaption").last
        expect(caption).to_have_text("reconstruction at beta = 4, tc = 2")
        assert line.get_attribute("points") == before
        # The handle of the second, to its end.
        box = tab.locator("#knobs [data-name=tc] .drag").bounding_box()
        y = box["y"] + box["height"] / 2
        tab.mouse.move(box["x"] + box["width"] / 2, y)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 2 * box["width"], y, steps=8)
        tab.mouse.up()
        expect(caption).to_have_text("reconstruction at beta = 4, tc = 8")
        expect(line).not_to_have_attribute("points", before)
        model, image = served_families.tc(), images[:1] / np.float32(255)
        made = np.asarray(model.reconstruct(image, 4.0, {"tc": 8.0}))[0]
        shown = tab.locator("#pair img").last.get_attribute("src")
        np.testing.assert_allclose(
            serving_pages.decoded(shown), made * 255, atol=1
        )


def test_a_row_is_typed_and_a_choice_is_turned(tmp_path):
    from playwright.sync_api import expect

    rows, model = served_families.rows(4), served_families.alarms()

    def expect_answer(row, **point):
        asked = {n: np.float32([v]) for n, v in point.items()}
        found = model.predict(row[None], loss_parameters=asked, verbose=0)
        numbers = [f"{found[n][0]:.4g}" for n in ("logit", "probability")]
        expect(tab.locator("#numbers .value")).to_have_text(numbers)

    with opened("alarms", {"inputs": rows}, tmp_path) as tab:
        expect_answer(rows[0], miss=2, smoothing=0.1)
        assert not tab.locator("#upload").is_visible()
        assert not tab.get_by_role("tab").first.is_visible()
        tab.locator("#wall button").nth(2).click()
        expect_answer(rows[2], miss=2, smoothing=0.1)
        typed(tab, "#row input >> nth=0", 1.5)
        row = np.float32([1.5, *rows[2][1:]])
        expect_answer(row, miss=2, smoothing=0.1)
        # Between two choices: the nearer one.
        typed(tab, "#knobs [data-name=smoothing] .exact", 0.3)
        expect_answer(row, miss=2, smoothing=0.4)
        assert tab.locator("[data-name=smoothing] .exact").input_value() == (
            "0.4"
        )
        tab.locator("#strip button").last.click()
        expect_answer(row, miss=10, smoothing=0.4)


def test_a_table_has_names_texts_and_ranges(tmp_path):
    from playwright.sync_api import expect

    rows, model = served_families.table_rows(), served_families.table()

    def expect_answer(row, miss):
        asked = {"miss": np.float32([miss])}
        row = np.float32([row])
        found = model.predict(row, loss_parameters=asked, verbose=0)
        number = f"{found['probability'][0]:.1%}"
        expect(tab.locator("#numbers .value")).to_have_text(number)

    with opened("table", {"inputs": rows}, tmp_path) as tab:
        labels = tab.locator("#row label span")
        expect(labels).to_have_text(["student", "balance", "city"])
        expect(tab.locator("#row small").nth(1)).to_have_text("0 to 2,654.32")
        expect(tab.locator("#row select")).to_have_count(2)
        city = tab.locator("#row select").last
        expect(city.locator("option")).to_have_text(["bern", "<graz>", "ulm"])
        expect(city).to_have_value("1")
        expect(tab.locator("#numbers dt")).to_contain_text("default = Yes")
        typed(tab, "#knobs [data-name=miss] .exact", 8)
        expect_answer(rows[0], 8)
        city.select_option("ulm")
        expect_answer([1, 1500, 0, 0, 1], 8)
        tab.locator("#row select").first.select_option("No")
        typed(tab, "#row input", 800)
        expect_answer([0, 800, 0, 0, 1], 8)
        # Another example puts the texts back.
        tab.locator("#wall button").nth(1).click()
        expect(city).to_have_value("0")
        expect_answer(rows[1], 8)
