"""Where a codec or its data were wrong without a word."""

import compression_models
import numpy as np
import pytest
from compression_models import photo
from PIL import Image

from training import codecs
from yoto_tf.compression import __main__ as command
from yoto_tf.compression.codec import Codec
from yoto_tf.compression.fingerprint import fingerprint_of
from yoto_tf.compression.picture_files import read_picture
from yoto_tf.compression.picture_files import write_picture
from yoto_tf.compression.pixels import psnr_of
from yoto_tf.errors import InputError
from yoto_tf.families.compression.config import CropsConfig
from yoto_tf.families.compression.crops import load_cells


@pytest.mark.parametrize("quality", [0, 100])
def test_a_grey_picture_is_estimated_as_it_is_read(quality):
    codec = compression_models.tiny_codec()
    pixels = photo(130, 200)[..., 0]
    estimate = codec.estimate(pixels, quality)
    made = codec.decompress(codec.compress(pixels, quality))
    assert estimate.psnr == pytest.approx(psnr_of(pixels, made), abs=0.01)


def test_a_frozen_model_reads_its_own_files():
    model = compression_models.make()
    before = fingerprint_of(model)
    model.trainable = False
    assert fingerprint_of(model) == before
    model.trainable = True
    model.synthesis[-1].trainable = False
    assert fingerprint_of(model) == before
    # What is frozen counts.
    model.synthesis[-1].bias.assign(model.synthesis[-1].bias + 1)
    assert fingerprint_of(model) != before


@pytest.mark.parametrize(("tests", "watched"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_formats_of_a_picture_are_on_one_side(tests, watched, tmp_path):
    for i in range(8):
        image = Image.fromarray(photo(64, 64, seed=i))
        image.save(tmp_path / f"{i}.png")
        image.save(tmp_path / f"{i}.jpg", quality=50)
    splits = load_cells(
        CropsConfig(
            name=str(tmp_path),
            cell_size=64,
            crop_size=64,
            test_pictures=tests,
            validation_pictures=watched,
        )
    )
    parts = [
        np.asarray(getattr(p, "x", p), "float64")
        for p in (splits.train, splits.validation, splits.test)
    ]
    assert sum(map(len, parts)) == 16
    for one, other in ((0, 1), (0, 2), (1, 2)):
        apart = np.abs(parts[one][:, None] - parts[other][None])
        assert apart.mean((2, 3, 4)).min() > 10


def test_pictures_of_one_name_are_two(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(photo(176, 176)).save(tmp_path / folder / "1.png")
    assert sorted(codecs.chosen_pictures(tmp_path)) == ["a/1.png", "b/1.png"]


def test_a_side_that_cannot_be_written_is_told_before_it_is_read(
    tmp_path, monkeypatch, capsys
):
    model = compression_models.tiny()
    monkeypatch.setattr(command, "_codec", lambda path: Codec(model))
    file = tmp_path / "wide.ylic"
    file.write_bytes(Codec(model).compress(photo(1, 16_384), 10))
    monkeypatch.setattr(Codec, "decompress", None)
    with pytest.raises(SystemExit) as ended:
        command.main(["decompress", str(file), "-o", str(tmp_path / "a.webp")])
    assert ended.value.code == 2
    assert "PNG file for sides above 16,383" in capsys.readouterr().err


def test_sixteen_bits_of_sgi_are_not_cut_in_silence(tmp_path):
    picture = Image.fromarray(photo(20, 30))
    picture.save(tmp_path / "deep.sgi", bpc=2)
    with pytest.raises(InputError, match="eight bits.*16 bits"):
        read_picture(tmp_path / "deep.sgi")
    picture.save(tmp_path / "plain.sgi")
    np.testing.assert_array_equal(
        read_picture(tmp_path / "plain.sgi").pixels, np.asarray(picture)
    )


def test_a_damaged_file_of_any_kind_is_a_sentence(tmp_path):
    picture = Image.fromarray(photo(20, 30))
    picture.save(tmp_path / "whole.qoi")
    content = (tmp_path / "whole.qoi").read_bytes()
    refused = 0
    for size in range(14, len(content) - 8, 7):
        (tmp_path / "half.qoi").write_bytes(content[:size])
        try:
            read_picture(tmp_path / "half.qoi")
        except InputError:
            refused += 1
    assert refused


def test_a_grey_picture_with_an_unused_transparency_stays_grey(tmp_path):
    pixels = photo(20, 30)[..., 0] | 1
    path = tmp_path / "grey.png"
    Image.fromarray(pixels).save(path, transparency=0)
    np.testing.assert_array_equal(read_picture(path).pixels, pixels)


@pytest.mark.parametrize(
    ("name", "side"), [("a.webp", 16_384), ("a.jpg", 65_501)]
)
def test_sides_that_a_format_cannot_have_are_refused(name, side, tmp_path):
    pixels = np.zeros((side, 1, 3), "uint8")
    with pytest.raises(InputError, match="expected a PNG file for sides above"):
        write_picture(tmp_path / name, pixels)
    assert not list(tmp_path.iterdir())
