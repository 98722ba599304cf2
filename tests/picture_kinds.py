"""Picture files of many kinds, and the pixels that they should give.

What is expected is computed here, from the pixels that were written or by
Pillow, not by the decoder under test.
"""

import functools
import io
import struct
import zlib

import numpy as np
from PIL import Image

SIZE = 32
# The middle square is three times as large, so that its mean is exact.
HEIGHT, WIDTH = 3 * SIZE, 3 * SIZE + 35
ORIENTATION = 0x0112


def rgb():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([2 * y, x, 255 - y - x // 2], -1).astype("uint8")


def random(*shape, high=256, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape)


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", check)
    )


def _packed(samples, depth):
    """The bytes of each row, `(height, width, channels)`, before a filter."""
    height = len(samples)
    if depth == 16:
        rows = samples.astype(">u2")
    elif depth == 8:
        rows = samples.astype("uint8")
    else:
        bits = np.unpackbits(samples.astype("uint8")[..., None], axis=-1)
        rows = np.packbits(bits[..., 8 - depth :].reshape(height, -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


# Adam7: first row, first column, and the steps of each pass.
_PASSES = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)


def png(samples, color, depth=8, before=b"", after=b"", interlaced=False):
    """A PNG file of samples `(height, width, channels)` as they are."""
    height, width = samples.shape[:2]
    header = struct.pack(
        ">IIBBBBB", width, height, depth, color, 0, 0, interlaced
    )
    parts = [samples]
    if interlaced:
        parts = [samples[y::dy, x::dx] for y, x, dy, dx in _PASSES]
    pixels = b"".join(_packed(p, depth) for p in parts)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(pixels))
        + after
        + chunk(b"IEND", b"")
    )


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def jpeg(**options):
    return saved(Image.fromarray(rgb()), "JPEG", **options)


def as_rgb(file):
    """Pillow's pixels, neither turned nor flattened."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def on_white(color, alpha):
    alpha = alpha.astype("float64")
    return np.round((color * alpha + 255.0 * (255 - alpha)) / 255)


def exif(orientation, order="<"):
    """An EXIF block with some entries, without JPEG's prefix."""
    entries = [(0x010F, 2, b"Me\0\0"), (0x0100, 4, struct.pack(order + "I", 9))]
    value = struct.pack(order + "HH", orientation, 0)
    entries.append((ORIENTATION, 3, value))
    mark = b"II" if order == "<" else b"MM"
    block = mark + struct.pack(order + "HIH", 42, 8, len(entries))
    for tag, kind, content in entries:
        block += struct.pack(order + "HHI", tag, kind, 1) + content
    return block + bytes(4)


def in_jpeg(file, segment, marker=0xE1):
    """The JPEG file with a segment more, after JFIF's."""
    assert file[2:4] == b"\xff\xe0"
    start = 4 + int.from_bytes(file[4:6])
    head = struct.pack(">BBH", 0xFF, marker, len(segment) + 2)
    return file[:start] + head + segment + file[start:]


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


def _pngs():
    color, alpha = rgb(), random(HEIGHT, WIDTH, 1)
    yield "rgb", png(color, 2), color
    yield "interlaced", png(color, 2, interlaced=True), color
    rgba = np.concatenate([color, alpha], -1)
    yield "rgba", png(rgba, 6), on_white(color, alpha)
    found = png(rgba, 6, interlaced=True)
    yield "interlaced rgba", found, on_white(color, alpha)
    clear = np.zeros((HEIGHT, WIDTH, 4), int)
    yield "all transparent", png(clear, 6), np.full((HEIGHT, WIDTH, 3), 255)
    grey = color[..., :1]
    yield "grey", png(grey, 0), grey
    both = np.concatenate([grey, alpha], -1)
    yield "grey and alpha", png(both, 4), on_white(grey, alpha)
    for depth in (1, 2, 4):
        few = random(HEIGHT, WIDTH, 1, high=2**depth)
        full = few * 255 // (2**depth - 1)
        yield f"grey of {depth} bits", png(few, 0, depth), full
        key = chunk(b"tRNS", struct.pack(">H", 1))
        expected = np.where(few == 1, 255, full)
        yield f"clear grey of {depth} bits", png(few, 0, depth, key), expected
        palette = random(2**depth, 3)
        head = chunk(b"PLTE", palette.astype("uint8").tobytes())
        expected = palette[few[..., 0]]
        yield f"palette of {depth} bits", png(few, 3, depth, head), expected
        opacity = random(2**depth, 1, seed=1)
        head += chunk(b"tRNS", opacity.astype("uint8").tobytes())
        expected = on_white(expected, opacity[few[..., 0]])
        found = png(few, 3, depth, head)
        yield f"clear palette of {depth} bits", found, expected
    steps = color // 64 * 64
    key = chunk(b"tRNS", struct.pack(">HHH", *steps[0, 0]))
    is_key = (steps == steps[0, 0]).all(-1, keepdims=True)
    yield "rgb with a key", png(steps, 2, 8, key), np.where(is_key, 255, steps)
    deep = random(HEIGHT, WIDTH, 4, high=2**16)
    yield "16-bit rgb", png(deep[..., :3], 2, 16), deep[..., :3] >> 8
    expected = on_white(deep[..., :3] >> 8, deep[..., 3:] >> 8)
    yield "16-bit rgba", png(deep, 6, 16), expected
    yield "16-bit grey", png(deep[..., :1], 0, 16), deep[..., :1] >> 8
    expected = on_white(deep[..., :1] >> 8, deep[..., 1:2] >> 8)
    yield "16-bit grey and alpha", png(deep[..., :2], 4, 16), expected
    few = random(HEIGHT, WIDTH, 1, high=3) * 20000 + 1
    key = chunk(b"tRNS", struct.pack(">H", 20001))
    expected = np.where(few == 20001, 255, few >> 8)
    yield "16-bit grey with a key", png(few, 0, 16, key), expected
    moving = saved(
        Image.fromarray(color),
        "PNG",
        save_all=True,
        append_images=[Image.fromarray(255 - color)],
    )
    yield "moving png", moving, color


def _jpegs():
    for name, options in {
        "jpeg": {},
        "progressive jpeg": {"progressive": True},
        "jpeg with all its colour": {"subsampling": 0, "quality": 95},
    }.items():
        file = jpeg(**options)
        yield name, file, as_rgb(file)
    for mode in ("L", "CMYK"):
        file = saved(Image.fromarray(rgb()).convert(mode), "JPEG")
        yield f"{mode} jpeg", file, as_rgb(file)
    second = Image.fromarray(255 - rgb())
    file = saved(
        Image.fromarray(rgb()), "MPO", save_all=True, append_images=[second]
    )
    yield "two pictures in a jpeg", file, as_rgb(jpeg())


def _turned():
    plain = jpeg()
    for orientation, turn in TURNS.items():
        order = "<>"[orientation % 2]
        block = exif(orientation, order)
        file = in_jpeg(plain, b"Exif\0\0" + block)
        yield f"jpeg turned {orientation}", file, turn(as_rgb(plain))
        part = chunk(b"eXIf", block)
        place = {"before": part} if orientation < 5 else {"after": part}
        yield f"png turned {orientation}", png(rgb(), 2, **place), turn(rgb())
    # Behind other segments, a false one among them.
    file = in_jpeg(plain, b"Exif\0\0" + exif(6))
    file = in_jpeg(file, b"http://ns.adobe.com/xap/1.0/\0" + exif(3))
    file = in_jpeg(file, b"Exif\0\0" + exif(3), marker=0xE7)
    yield "jpeg turned at last", file, TURNS[6](as_rgb(plain))
    clear = np.concatenate([rgb(), random(HEIGHT, WIDTH, 1)], -1)
    file = png(clear, 6, after=chunk(b"eXIf", exif(6)))
    expected = on_white(clear[..., :3], clear[..., 3:])
    yield "clear and turned", file, TURNS[6](expected)


def _damaged_exif():
    """Of these blocks nothing can be said: the picture is as it is stored."""
    whole = exif(6)
    blocks = {
        "cut": whole[:40],
        "empty": b"",
        "far": whole[:4] + b"\xff\xff\xff\xff" + whole[8:],
        "of no order": b"XX" + whole[2:],
        "nine": exif(9),
        "none": exif(0),
        "of another type": whole.replace(
            struct.pack("<HH", ORIENTATION, 3),
            struct.pack("<HH", ORIENTATION, 2),
        ),
    }
    for name, block in blocks.items():
        file = png(rgb(), 2, before=chunk(b"eXIf", block))
        yield f"exif {name}", file, rgb()


def _others():
    """Training reads them, a served graph says that it does not."""
    color = Image.fromarray(rgb())
    alpha = random(HEIGHT, WIDTH, 1).astype("uint8")
    rgba = np.concatenate([rgb(), alpha], -1)
    yield "bmp", saved(color, "BMP"), rgb()
    webp = saved(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)
    yield "webp", webp, on_white(rgb(), alpha)
    index = random(HEIGHT, WIDTH, high=8).astype("uint8")
    palette = random(8, 3)
    picture = Image.fromarray(index, "P")
    picture.putpalette(palette.astype("uint8").tobytes())
    gif = saved(picture, "GIF", transparency=5)
    expected = np.where(index[..., None] == 5, 255, palette[index])
    yield "gif", gif, expected
    deep = random(HEIGHT, WIDTH, high=2**16).astype("uint16")
    yield "16-bit tiff", saved(Image.fromarray(deep), "TIFF"), deep >> 8


@functools.cache
def kinds():
    """dict, name -> `(file, pixels (height, width, 1 or 3))`: PNG and JPEG."""
    found = {}
    for source in (_pngs, _jpegs, _turned, _damaged_exif):
        for name, file, pixels in source():
            assert name not in found
            found[name] = file, pixels
    return found


@functools.cache
def other_kinds():
    return {name: (file, pixels) for name, file, pixels in _others()}


def image(pixels, channels=3):
    """The middle square's mean over 3 x 3 pixels, float64, not rounded."""
    pixels = np.atleast_3d(np.asarray(pixels, "float64"))
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    side = min(pixels.shape[:2])
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    square = pixels[top : top + side, left : left + side]
    found = square.reshape(SIZE, 3, SIZE, 3, 3).mean((1, 3))
    if channels == 1:
        found = found @ [[0.299], [0.587], [0.114]]
    return found
