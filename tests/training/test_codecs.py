"""Comparing codecs: what is counted, what is scored, what lies between."""

import io

import compression_models
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from training import codecs
from training import compared_codecs
from training.compared_codecs import Comparison
from yoto_tf.compression.codec import Codec
from yoto_tf.errors import InputError

MEASURES = "psnr", "ms_ssim_db"


def row(codec, picture, bits, psnr, ms_ssim=0.9):
    return Comparison(codec, picture, bits, 1000, bits, psnr, ms_ssim)


def curve(codec, picture, factor, points=(28, 32, 36, 40)):
    return [
        # Twice the bits for 6 dB.
        row(codec, picture, factor * 2 ** (p / 6), p, 1 - 10 ** (-p / 20))
        for p in points
    ]


def test_half_the_bits_everywhere_is_a_rate_of_minus_50_percent():
    rows = curve("ours", "a", 0.5) + curve("JPEG", "a", 1.0)
    rows += curve("ours", "b", 0.75) + curve("JPEG", "b", 1.0)
    # At other qualities than ours.
    rows += curve("WebP", "a", 0.4, (30, 33, 38, 41, 43))
    rows += curve("WebP", "b", 0.6, (30, 33, 38, 41, 43))
    found = compared_codecs.bd_rates(rows)
    for measure in MEASURES:
        assert found["JPEG", measure] == pytest.approx([-50, -25], abs=0.01)
        assert found["WebP", measure] == pytest.approx([25, 25], abs=0.2)
    text = compared_codecs.table(found, 2)
    assert "| JPEG | -37.5 % ± 17.7 | -37.5 % ± 17.7 |" in text


def test_curves_that_do_not_meet_and_points_that_help_nobody():
    rows = curve("ours", "a", 1.0, (20, 24, 26)) + curve("JPEG", "a", 1.0)
    found = compared_codecs.bd_rates(rows)
    assert np.isnan(found["JPEG", "psnr"]).all()
    assert "no quality in common" in compared_codecs.table(found, 1)
    # More bits for less quality: no part of the curve.
    rows = curve("ours", "a", 0.5) + curve("JPEG", "a", 1.0)
    rows.append(row("JPEG", "a", 400.0, 31.0, 0.5))
    found = compared_codecs.bd_rates(rows)["JPEG", "psnr"]
    assert found == pytest.approx([-50], abs=0.01)


def test_a_picture_that_is_read_as_it_was_has_no_part_in_the_curve():
    rows = curve("ours", "a", 0.5) + curve("JPEG", "a", 1.0)
    rows.append(row("ours", "a", 90.0, float("inf"), 0.9999))
    found = compared_codecs.bd_rates(rows)["JPEG", "psnr"]
    assert found == pytest.approx([-50], abs=0.01)
    flat = [row(c, "b", 1.0, float("inf")) for c in ("ours", "JPEG")]
    assert np.isnan(compared_codecs.bd_rates(flat)["JPEG", "psnr"]).all()


def test_files_of_pillow_are_counted_whole_and_scored_as_read():
    y, x = np.mgrid[:180, :190]
    pixels = np.stack([x, y, (x + y) // 2], -1).astype("uint8")
    for codec, options in codecs._OPTIONS.items():
        data, made = codecs._by_pillow(pixels, codec, 80, options)
        found = codecs._scored(codec, "a", 80, pixels, data, made)
        with Image.open(io.BytesIO(data)) as read:
            assert read.format.upper() == codec.upper()
        error = np.mean((pixels.astype(float) - made) ** 2)
        assert found.psnr == pytest.approx(10 * np.log10(255**2 / error))
        assert found.bits_per_pixel == 8 * len(data) / (180 * 190)
        assert 0.9 < found.ms_ssim <= 1
        assert found.ms_ssim_db == pytest.approx(
            -10 * np.log10(1 - found.ms_ssim), rel=1e-3
        )


def test_the_six_pictures_come_with_the_packages():
    found = codecs.chosen_pictures()
    assert {n: p.shape[:2] for n, p in found.items()} == {
        "astronaut": (512, 512),
        "coffee": (400, 600),
        "chelsea": (300, 451),
        "rocket": (427, 640),
        "china": (427, 640),
        "flower": (427, 640),
    }


def test_pictures_of_a_folder_are_large_and_have_colours(tmp_path):
    Image.new("RGB", (200, 180), (9, 8, 7)).save(tmp_path / "a.png")
    found = codecs.chosen_pictures(tmp_path)
    assert found["a.png"].shape == (180, 200, 3)
    Image.new("RGB", (200, 160)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="176 pixels a side.*b.png"):
        codecs.chosen_pictures(tmp_path)
    Image.new("L", (200, 200)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="colours.*b.png"):
        codecs.chosen_pictures(tmp_path)


def test_a_missing_run_is_told_before_any_picture_is_written(
    tmp_path, monkeypatch
):
    mine, load = tmp_path / "mine.keras", Codec.load
    monkeypatch.setattr(
        Codec, "load", lambda path: object() if path == mine else load(path)
    )
    with pytest.raises(InputError, match="missing, which is not there"):
        # What stands for the first could write nothing.
        codecs.by_models([mine, tmp_path / "missing"], {"a": None})


def test_two_models_of_all_qualities_are_not_one_codec(monkeypatch):
    codec = compression_models.tiny_codec()
    monkeypatch.setattr(Codec, "load", lambda path: codec)
    with pytest.raises(InputError, match="received: 2 runs, of which 2 have"):
        codecs.by_models(["a", "b"], {})


def test_from_a_model_to_tables_and_a_figure(tmp_path, monkeypatch, capsys):
    codec = compression_models.tiny_codec()
    monkeypatch.setattr(Codec, "load", lambda path: codec)
    monkeypatch.setattr(codecs, "QUALITIES", (0, 50, 100))
    monkeypatch.setattr(codecs, "_SETTINGS", (10, 60, 90))
    y, x = np.mgrid[:176, :180]
    pixels = np.stack([x, y, (x * y) % 256], -1).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    to = tmp_path / "to"
    codecs.main(
        ["run", "--pictures", str(tmp_path), "--to", str(to)],
    )
    table = pd.read_csv(to / "codecs.csv")
    assert sorted(table.codec.unique()) == ["AVIF", "JPEG", "WebP", "ours"]
    ours = table[table.codec == "ours"].set_index("setting")
    for quality in (0, 50, 100):
        assert ours.bytes[quality] == len(codec.compress(pixels, quality))
    assert "| JPEG |" in (to / "codecs.md").read_text()
    assert "written to" in capsys.readouterr().out
    with Image.open(to / "codecs.png") as picture:
        assert picture.width > 500
