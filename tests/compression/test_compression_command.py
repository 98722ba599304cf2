"""Pictures in files, and the command line."""

import importlib.util
import struct
import sys
import warnings
import zlib

import compression_models
import numpy as np
import pytest
from compression_models import photo
from PIL import Image
from PIL import ImageOps

import yoto_tf.compression
from yoto_tf.compression import __main__ as command
from yoto_tf.compression import profile
from yoto_tf.compression.codec import Codec
from yoto_tf.compression.picture_files import read_picture
from yoto_tf.compression.picture_files import write_picture
from yoto_tf.errors import InputError


@pytest.fixture(autouse=True)
def model(monkeypatch):
    """Stands where a file of a model is loaded."""

    def load(path):
        # None: the model that comes with the library.
        if path not in (None, "model.keras"):
            raise InputError(f"expected model.keras, received: {path}")
        return compression_models.tiny_codec()

    monkeypatch.setattr(Codec, "load", load)
    monkeypatch.delenv("YOTO_TF_COMPRESSION_MODEL", raising=False)


def run(*words):
    command.main([*map(str, words), "--model", "model.keras"])


def refused(capsys, *words):
    """What is written where a command ends with code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command.main(list(map(str, words)))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: expected ")
    assert said.count("\n") == 1
    return said


def save(path, pixels, mode=None, **options):
    Image.fromarray(np.asarray(pixels), mode).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
def test_a_picture_goes_through_files(tmp_path, capsys, suffix):
    codec, pixels = compression_models.tiny_codec(), photo(80, 100)
    options = {"lossless": True} if suffix == "webp" else {}
    picture = save(tmp_path / f"in.{suffix}", pixels, **options)
    pixels = np.asarray(Image.open(picture))
    file, made = tmp_path / "out.ylic", tmp_path / f"out.{suffix}"
    run("compress", picture, "-o", file, "--quality", "40")
    assert file.read_bytes() == codec.compress(pixels, 40)
    run("decompress", file, "-o", made)
    found = np.asarray(Image.open(made)).astype(int)
    wanted = codec.decompress(file.read_bytes())
    if suffix == "jpg":
        assert np.abs(found - wanted).mean() < 12
    else:
        np.testing.assert_array_equal(found, wanted)
    capsys.readouterr()
    command.main(["inspect", str(file)])
    said = capsys.readouterr().out
    assert "100 x 80 pixels" in said
    assert "40.00 (step 6554)" in said
    assert codec.fingerprint.hex() in said
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [picture.name, file.name, made.name]
    )


def test_without_a_model_it_is_the_one_that_comes_with_the_library(
    tmp_path, monkeypatch, capsys
):
    codec, pixels = compression_models.tiny_codec(), photo(64, 64)
    picture = save(tmp_path / "in.png", pixels)
    file, made = tmp_path / "out.ylic", tmp_path / "out.png"
    command.main(["compress", str(picture), "-o", str(file)])
    assert file.read_bytes() == codec.compress(pixels)
    command.main(["decompress", str(file), "-o", str(made)])
    monkeypatch.setenv("YOTO_TF_COMPRESSION_MODEL", "mine.keras")
    words = ("compress", picture, "-o", file)
    assert "received: mine.keras" in refused(capsys, *words)


def test_targets_are_met_in_files(tmp_path, capsys):
    codec, pixels = compression_models.tiny_codec(), photo(128, 128)
    picture = save(tmp_path / "in.png", pixels)
    wanted = codec.estimate(pixels, 60)
    file = tmp_path / "out.ylic"
    run("compress", picture, "-o", file, "--target-bpp", wanted.bits_per_pixel)
    found = 8 * len(file.read_bytes()) / 128**2
    assert found == pytest.approx(wanted.bits_per_pixel, rel=0.02)
    run("compress", picture, "-o", file, "--target-psnr", wanted.psnr)
    made = codec.decompress(file.read_bytes())
    error = np.square(pixels - made.astype("float64")).mean()
    found = 10 * np.log10(255**2 / error)
    assert found == pytest.approx(wanted.psnr, abs=0.1)
    assert "dB" in capsys.readouterr().out
    before = file.read_bytes()
    words = ["compress", picture, "-o", file, "--model", "model.keras"]
    said = refused(capsys, *words, "--target-bpp", "500")
    assert "which this picture has between quality 0 and 100" in said
    assert file.read_bytes() == before


def test_what_is_no_whole_file_leaves_nothing(tmp_path, capsys):
    data = compression_models.tiny_codec().compress(photo(64, 64), 10)
    file, made = tmp_path / "in.ylic", tmp_path / "out.png"
    flipped = bytearray(data)
    flipped[50] ^= 4
    for damaged in (flipped, data[:-3], bytes(len(data)), b"", b"\x89PNG"):
        file.write_bytes(damaged)
        for words in (
            ("decompress", file, "-o", made, "--model", "model.keras"),
            ("inspect", file),
        ):
            refused(capsys, *words)
        assert not made.exists()
    file.write_bytes(data)
    words = ("decompress", file, "--model", "model.keras", "-o")
    assert ".png" in refused(capsys, *words, tmp_path / "out.bmp")
    assert [p.name for p in tmp_path.iterdir()] == ["in.ylic"]


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_read(
    tmp_path, capsys
):
    head = struct.pack(
        "<4sBBHII8sII", b"YLIC", 1, 3, 0, 60_000, 60_000, bytes(8), 0, 0
    )
    file = tmp_path / "in.ylic"
    file.write_bytes(head + struct.pack("<I", zlib.crc32(head)))
    made = tmp_path / "out.png"
    said = refused(capsys, "decompress", file, "-o", made, "--model", "none")
    assert "at most 100,000,000 in all" in said


def test_other_words_are_refused(tmp_path, capsys, monkeypatch):
    picture = save(tmp_path / "in.png", photo(8, 8))
    file = tmp_path / "out.ylic"
    words = ("compress", picture, "-o", file)
    assert "0 to 100" in refused(capsys, *words, "--quality", "101")
    assert "model.keras" in refused(capsys, *words, "--model", "other")
    # Before the model is looked for.
    for target in ("--target-bpp", "--target-psnr"):
        said = refused(capsys, *words, target, "nan", "--model", "other")
        assert "received: nan" in said
    assert "another file" in refused(
        capsys, "compress", picture, "-o", picture, "--model", "model.keras"
    )
    with pytest.raises(SystemExit) as ended:
        command.main([*map(str, words), "--quality=1", "--target-bpp=1"])
    assert ended.value.code == 2
    for twice in (["--quality=1", "--quality", "2"], ["-o", "other.ylic"]):
        with pytest.raises(SystemExit) as ended:
            command.main([*map(str, words), *twice])
        assert ended.value.code == 2
        assert "every option once" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        command.main(["compress", "none.png", "-o", str(file)])
    assert ended.value.code == 2
    assert "No such file or directory: none.png" in capsys.readouterr().err
    monkeypatch.setattr(command, "_MOST_BYTES", 10)
    assert "at most 10 bytes" in refused(capsys, "inspect", picture)
    assert not file.exists()


def test_a_profile_tells_where_the_time_goes(tmp_path, monkeypatch, capsys):
    model = compression_models.tiny()
    found = profile.profile(model, photo(128, 192), 30, rounds=1)
    for times in found.values():
        parts = [times.get(part, 0.0) for part in profile.PARTS]
        assert sum(parts) == pytest.approx(times["all"])
    parts = profile.PARTS.keys()
    assert found["write"].keys() - {"all", "wall"} == parts - {"synthesis"}
    assert found["read"].keys() - {"all", "wall"} == parts - {"analysis"}
    monkeypatch.setattr(
        profile,
        "profile",
        lambda *_: {
            "write": {"wall": 0.02, "all": 0.04, "analysis": 0.03},
            "read": {"wall": 0.01, "all": 0.01, "coder": 0.01},
        },
    )
    picture = save(tmp_path / "in.png", photo(100, 200))
    run("profile", picture)
    said = capsys.readouterr().out
    assert said.startswith("200 x 100 pixels, ")
    assert "| megapixels per second | 1.00 | 2.00 |" in said
    assert "| analysis, ms of a processor | 1500 (75%) | 0 (0%) |" in said
    words = ("profile", picture, "--model", "model.keras", "--rounds", "0")
    assert "rounds=0" in refused(capsys, *words)


# What a file holds.


def test_pictures_are_read_as_they_are(tmp_path):
    rgb = photo(20, 30)
    opaque = np.dstack([rgb, np.full((20, 30), 255, "uint8")])
    for name, pixels, wanted in (
        ("rgb.png", rgb, rgb),
        ("grey.png", rgb[..., 0], rgb[..., 0]),
        ("opaque.png", opaque, rgb),
        ("grey.tif", rgb[..., 1], rgb[..., 1]),
    ):
        found = read_picture(save(tmp_path / name, pixels))
        np.testing.assert_array_equal(found.pixels, wanted)
        assert found.rgb.shape == (20, 30, 3)
    palette = Image.fromarray(rgb).quantize(16)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        read_picture(tmp_path / "palette.png").pixels, palette.convert("RGB")
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = save(tmp_path / "turned.png", rgb, exif=exif)
    np.testing.assert_array_equal(
        read_picture(turned).pixels, np.rot90(rgb, -1)
    )


def _kinds(folder):
    """(name, what is said) of files that are refused."""
    rgb = photo(20, 30)
    clear = np.dstack([rgb, np.full((20, 30), 254, "uint8")])
    save(folder / "clear.png", clear)
    yield "clear.png", "without transparency"
    save(folder / "clear_grey.png", clear[..., 2:])
    yield "clear_grey.png", "without transparency"
    save(folder / "deep.png", np.uint16(rgb[..., 0]) * 257)
    yield "deep.png", "eight bits a channel"
    save(folder / "floats.tif", np.float32(rgb[..., 0]))
    yield "floats.tif", "eight bits a channel"
    Image.fromarray(rgb).convert("CMYK").save(folder / "print.jpg")
    yield "print.jpg", "eight bits a channel"
    frames = [Image.fromarray(photo(20, 30, seed)) for seed in range(3)]
    frames[0].save(
        folder / "moves.webp", save_all=True, append_images=frames[1:]
    )
    yield "moves.webp", "does not move"
    (folder / "text.png").write_text("no picture")
    yield "text.png", "none that Pillow knows"
    whole = save(folder / "whole.png", rgb).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    yield "cut.png", "can be decoded"


def test_other_pictures_are_refused(tmp_path):
    seen = 0
    for name, sentence in _kinds(tmp_path):
        with pytest.raises(InputError, match=sentence) as raised:
            read_picture(tmp_path / name)
        assert name in str(raised.value)
        assert str(raised.value).startswith("expected ")
        seen += 1
    assert seen == 8


def _deep_png(path):
    """A PNG of 16 bits of RGB, which Pillow reads and does not write."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        size = struct.pack(">I", len(content))
        return size + kind + content + struct.pack(">I", check)

    rows = b"".join(b"\0" + bytes(6 * 5) for _ in range(4))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def test_sixteen_bits_of_colour_are_not_cut_in_silence(tmp_path):
    with pytest.raises(InputError, match="eight bits a channel.*16 bits"):
        read_picture(_deep_png(tmp_path / "deep.png"))


@pytest.mark.parametrize("kind", ["P3", "P6"])
@pytest.mark.parametrize("white", [255, 200, 1023, 65535])
def test_white_of_a_ppm_is_at_most_255(tmp_path, kind, white):
    values = np.arange(4 * 5 * 3) % (white + 1)
    content = f"{kind}\n5 4\n{white}\n".encode()
    if kind == "P3":
        content += " ".join(map(str, values)).encode()
    else:
        content += values.astype("u1" if white < 256 else ">u2").tobytes()
    path = tmp_path / "picture.ppm"
    path.write_bytes(content)
    if white > 255:
        with pytest.raises(InputError, match="eight bits a channel.*16 bits"):
            read_picture(path)
        return
    found = read_picture(path).pixels.astype(float)
    wanted = values.reshape(4, 5, 3) * 255 / white
    np.testing.assert_allclose(found, wanted, atol=1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_a_tiff_has_eight_bits_however_it_lies(tmp_path, dtype, planes):
    tifffile = pytest.importorskip("tifffile")
    rgb = photo(20, 30)
    scale = 257 if dtype == "uint16" else 1
    written = rgb.astype(dtype) * np.dtype(dtype).type(scale)
    if planes == "separate":
        written = np.moveaxis(written, -1, 0)
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, written, photometric="rgb", planarconfig=planes)
    if dtype == "uint16":
        with pytest.raises(InputError, match="expected a picture"):
            read_picture(path)
    else:
        np.testing.assert_array_equal(read_picture(path).pixels, rgb)


@pytest.mark.parametrize("number", range(10))
# Of TIFF files Pillow turns the pixels while it decodes them.
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
def test_pictures_are_turned_as_pillow_turns_them(tmp_path, number, suffix):
    exif = Image.Exif()
    exif[0x0112] = number
    path = save(tmp_path / f"turned.{suffix}", photo(20, 30), exif=exif)
    with Image.open(path) as picture:
        wanted = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_picture(path).pixels, wanted)


def test_what_else_is_wrong_in_exif_turns_no_picture_away(tmp_path):
    """A number of two parts that is a text, which cannot be written anew."""
    rgb, exif = photo(20, 30), Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    path = save(tmp_path / "turned.jpg", rgb, exif=exif, quality=100)
    content = path.read_bytes()
    # The entry of the resolution: its tag, and its kind, 5 for a ratio.
    for order in "<>":
        before = struct.pack(f"{order}HH", 0x011A, 5)
        if before in content:
            after = struct.pack(f"{order}HH", 0x011A, 2)
            path.write_bytes(content.replace(before, after, 1))
    assert path.read_bytes() != content
    found = read_picture(path).pixels.astype(float)
    assert np.abs(found - np.rot90(rgb, -1)).mean() < 12


def test_large_pictures_are_refused_before_they_are_decoded(
    tmp_path, monkeypatch
):
    path = save(tmp_path / "in.png", photo(20, 30))
    with pytest.raises(InputError, match="at most 599 pixels.*30 x 20"):
        read_picture(path, 599)
    # What the format holds is more than Pillow warns of.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path).pixels.shape == (20, 30, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="expected a picture of at most"):
        read_picture(path)


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    write_picture(path, photo(8, 9))
    before = path.read_bytes()

    def fail(self, *_, **__):
        raise OSError("no room")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="no room"):
        write_picture(path, photo(9, 8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_the_coder_it_is_said_what_to_install(
    tmp_path, capsys, monkeypatch
):
    for name in ("codec", "symbol_files", "coder"):
        monkeypatch.delitem(sys.modules, f"yoto_tf.compression.{name}")
        monkeypatch.delattr(yoto_tf.compression, name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    picture = save(tmp_path / "in.png", photo(8, 8))
    file = tmp_path / "out.ylic"
    said = refused(capsys, "compress", picture, "-o", file, "--model", "any")
    assert "pip install 'yoto_tf[compression]'" in said
    assert not file.exists()
