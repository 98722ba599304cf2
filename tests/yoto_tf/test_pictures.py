"""Picture files of every kind, as training sees them."""

import io
import struct

import numpy as np
import picture_kinds
import pytest
from picture_kinds import chunk
from PIL import Image

from yoto_tf.data import file_headers
from yoto_tf.data import pictures
from yoto_tf.data import preprocessing
from yoto_tf.errors import InputError


def read(file, channels=3):
    return pictures.read_square(io.BytesIO(file), picture_kinds.SIZE, channels)


def all_kinds():
    return {**picture_kinds.kinds(), **picture_kinds.other_kinds()}


@pytest.mark.parametrize("channels", [3, 1])
def test_every_kind_has_the_pixels_that_were_written(channels):
    wrong = {}
    for name, (file, pixels) in all_kinds().items():
        expected = picture_kinds.image(pixels, channels)
        difference = np.abs(read(file, channels) - expected).max()
        # Rounded once, and once more where grey is made of the image.
        if difference > (0.501 if channels == 3 else 1.01):
            wrong[name] = difference
    assert wrong == {}


def test_pillow_turns_pictures_the_same_way():
    """The files of the other tests are what they are called."""
    for orientation, turn in picture_kinds.TURNS.items():
        for kind in ("jpeg", "png"):
            file, pixels = picture_kinds.kinds()[f"{kind} turned {orientation}"]
            picture = Image.open(io.BytesIO(file))
            assert picture.getexif()[picture_kinds.ORIENTATION] == orientation
            stored = np.asarray(picture.convert("RGB"))
            np.testing.assert_array_equal(turn(stored), pixels)


def test_a_file_object_a_path_and_a_string_are_read_alike(tmp_path):
    file, _ = picture_kinds.kinds()["rgba"]
    path = tmp_path / "a.png"
    path.write_bytes(file)
    for source in (path, str(path)):
        found = pictures.read_square(source, picture_kinds.SIZE)
        np.testing.assert_array_equal(found, read(file))


def test_a_file_of_chunks_or_segments_without_end_is_refused(monkeypatch):
    # All that are allowed take most of a second.
    monkeypatch.setattr(file_headers, "MAX_PARTS", 50)
    monkeypatch.setattr(pictures, "_decoder", pictures._decoder.__wrapped__)
    comment = chunk(b"tEXt", b"")
    # Beside IHDR, IDAT and IEND.
    good = picture_kinds.png(picture_kinds.rgb(), 2, before=comment * 47)
    bad = picture_kinds.png(picture_kinds.rgb(), 2, before=comment * 48)
    assert read(good).shape == (32, 32, 3)
    jpeg = picture_kinds.jpeg()
    for file in (bad, jpeg[:2] + b"\xff\xe0\x00\x02" * 51 + jpeg[2:]):
        with pytest.raises(InputError, match="at most 50 chunks or segments"):
            read(file)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_what_else_is_wrong_in_exif_turns_no_picture_away(kind):
    """A number of two parts that is a text, which cannot be written anew."""
    exif = Image.Exif()
    exif[picture_kinds.ORIENTATION], exif[0x011A] = 6, 72.0
    rgb, file = picture_kinds.rgb(), io.BytesIO()
    Image.fromarray(rgb).save(file, kind, exif=exif, quality=100)
    content = damaged = file.getvalue()
    # The entry of the resolution: its tag, and its kind, 5 for a ratio.
    for order in "<>":
        before = struct.pack(f"{order}HH", 0x011A, 5)
        damaged = damaged.replace(
            before, struct.pack(f"{order}HH", 0x011A, 2), 1
        )
    assert damaged != content
    np.testing.assert_array_equal(read(damaged), read(content))
    within = [
        pictures.read_within(io.BytesIO(f), 10**6, 1)
        for f in (damaged, content)
    ]
    np.testing.assert_array_equal(*within)
    turned = np.rot90(rgb, -1).astype(float)
    assert within[0].shape == turned.shape
    assert np.abs(within[0] - turned).mean() < 20


@pytest.mark.parametrize("name", ["rgb", "rgba", "jpeg", "jpeg turned 6"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_named(name, part, tmp_path):
    file, _ = picture_kinds.kinds()[name]
    path = tmp_path / "cut.png"
    path.write_bytes(file[: int(len(file) * part)])
    with pytest.raises(InputError) as caught:
        pictures.read_square(path, picture_kinds.SIZE)
    text = str(caught.value)
    assert text.startswith("expected pictures that can be decoded, received: ")
    # A short reason, without the names of a graph's nodes.
    assert text.count("\n") == 0
    assert "node" not in text
    assert len(text) < len(str(path)) + 170


def test_white_shows_through_in_all_shades():
    """`round((c a + 255 (255 - a)) / 255)` for every c and a."""
    color, alpha = np.mgrid[:256, :256].astype("uint8")
    rgba = np.stack([color, color, color, alpha], -1)
    found = preprocessing.flattened(rgba).numpy()
    expected = picture_kinds.on_white(color, alpha)
    np.testing.assert_array_equal(found, np.stack([expected] * 3, -1))


def test_grey_keeps_its_value_and_colours_get_their_luma():
    grey = np.repeat(np.arange(256, dtype="uint8")[:, None, None], 3, axis=-1)
    np.testing.assert_array_equal(
        preprocessing.to_grey(grey)[..., 0], grey[..., 0]
    )
    colors = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    assert preprocessing.to_grey(colors).numpy().ravel().tolist() == [
        76,
        150,
        29,
    ]


def _tiff(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "TIFF")
    return file


def test_floats_are_from_0_to_1_and_other_numbers_without_a_white_refused():
    shades = np.linspace(0, 1, 32 * 32, dtype="float32").reshape(32, 32)
    image = pictures.read_square(_tiff(shades), 32, 1)
    np.testing.assert_array_equal(image[..., 0], np.round(shades * 255))
    wrong = [shades * 255, shades - 0.5, shades * np.float32(np.nan)]
    for values in wrong:
        with pytest.raises(InputError, match="not all in"):
            pictures.read_square(_tiff(values), 32, 1)
    for white in (255, 65_535, 2**31 - 1):
        values = np.round(shades.astype("float64") * white).astype("int32")
        with pytest.raises(InputError, match="integers of 32 bits"):
            pictures.read_square(_tiff(values), 32, 1)
