"""What every reader of picture files needs of Pillow."""

import struct

from PIL import ExifTags
from PIL import Image

# What Pillow raises for damaged files, NotImplementedError included.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    RuntimeError,
    EOFError,
    LookupError,
    struct.error,
)
# By the number of EXIF (CIPA DC-008, 4.6.4 A): where the first row lies.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turned(picture):
    """A picture as its EXIF orientation says. `ImageOps.exif_transpose` writes
    the whole block anew, and fails for what else may be wrong in it."""
    # Pillow turns TIFF files itself while it decodes them, and forgets how.
    picture.load()
    way = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    return picture if way is None else picture.transpose(way)
