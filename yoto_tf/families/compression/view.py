"""How a page shows learned compression. Imports no TensorFlow."""

from yoto_tf.compression.container import HEADER_BYTES
from yoto_tf.families.compression.config import KNOB
from yoto_tf.families.compression.config import MAX_REQUEST_PIXELS
from yoto_tf.families.compression.config import STRIDE
from yoto_tf.families.view import PICTURE
from yoto_tf.families.view import Files
from yoto_tf.families.view import Input
from yoto_tf.families.view import Output
from yoto_tf.families.view import Percent
from yoto_tf.families.view import View

VIEW = View(
    signature="reconstruct",
    inputs=(
        Input(
            "image", PICTURE, multiple=STRIDE, most_pixels=MAX_REQUEST_PIXELS
        ),
    ),
    outputs=(
        Output("image", PICTURE, "picture from its file"),
        Output(
            "bits_per_pixel",
            form=".3f",
            unit="bits per pixel",
            title="rate of its symbols",
        ),
        Output("psnr", form=".2f", unit="dB", title="PSNR"),
    ),
    trade_off=("bits_per_pixel", "psnr"),
    noun="picture",
    percent=Percent(
        KNOB,
        "quality",
        "Higher values keep more of the picture, in larger files.",
    ),
    files=Files("image", "bits_per_pixel", HEADER_BYTES),
    # A request holds as many crops of 384.
    curve_points=7,
)
