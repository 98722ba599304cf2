"""Photographs cut into squares."""

import numpy as np
import pytest
from PIL import Image

from training import cut
from yoto_tf.errors import InputError


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    pictures = {}
    for name, shape in {
        "a.png": (70, 41, 3),
        "a.bmp": (32, 32, 3),
        "in/b.png": (33, 95),
        "small.png": (9, 31, 3),
    }.items():
        pixels = rng.integers(0, 256, shape, "uint8")
        path = tmp_path / "photographs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        pictures[name] = pixels
    return tmp_path / "photographs", pictures


def read(folder):
    return {p.name: np.asarray(Image.open(p)) for p in folder.iterdir()}


def test_squares_are_the_pixels_side_by_side(photographs, tmp_path, capsys):
    folder, pictures = photographs
    cut.main([str(folder), str(tmp_path / "to")])
    assert "5 squares" in capsys.readouterr().out
    found = read(tmp_path / "to")
    grey = np.repeat(pictures["in/b.png"][..., None], 3, -1)
    expected = {
        "a_png-00000.png": pictures["a.png"][:32, :32],
        "a_png-00001.png": pictures["a.png"][32:64, :32],
        "a_bmp-00000.png": pictures["a.bmp"],
        "in-b_png-00000.png": grey[:32, :32],
        "in-b_png-00001.png": grey[:32, 32:64],
    }
    assert sorted(found) == sorted(expected)
    for name, pixels in expected.items():
        np.testing.assert_array_equal(found[name], pixels)


def test_colours_can_be_left_out(photographs, tmp_path):
    folder, pictures = photographs
    assert cut.cut(folder, tmp_path / "to", 32, grey=True) == 5
    found = read(tmp_path / "to")["a_png-00001.png"]
    luma = pictures["a.png"][32:64, :32] @ [0.299, 0.587, 0.114]
    assert found.shape == (32, 32)
    np.testing.assert_allclose(found, luma, atol=1)


@pytest.mark.parametrize(
    ("pictures", "to", "side", "sentence"),
    [
        ("photographs", "photographs", 32, "expected a new folder"),
        ("none", "to", 32, "expected a folder of pictures"),
        ("photographs", "to", 128, "sides of 128 or more"),
        ("photographs", "to", 0, "side of 8 or more"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    photographs, tmp_path, pictures, to, side, sentence
):
    with pytest.raises(InputError, match=sentence):
        cut.cut(tmp_path / pictures, tmp_path / to, side)
    assert not (tmp_path / "to").exists()


def test_one_that_cannot_be_read_leaves_no_folder(photographs, tmp_path):
    folder, _ = photographs
    (folder / "z.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"z\.png"):
        cut.cut(folder, tmp_path / "new" / "to", 32)
    assert not list((tmp_path / "new").iterdir())
    (folder / "z.png").unlink()
    assert cut.cut(folder, tmp_path / "new" / "to", 32) == 5
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["to"]


def test_no_square_takes_the_place_of_another(photographs, tmp_path):
    folder, pictures = photographs
    for name in ("in-b.png", "a_png.bmp", "in/b_png.bmp", "in-b_png.bmp"):
        pixels = 255 - pictures["a.bmp"]
        Image.fromarray(pixels).save(folder / name)
    assert cut.cut(folder, tmp_path / "to", 32) == 9
    assert len(read(tmp_path / "to")) == 9
