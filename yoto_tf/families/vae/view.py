"""How a page shows the VAE. Imports no TensorFlow."""

from yoto_tf.families.view import PICTURE
from yoto_tf.families.view import Input
from yoto_tf.families.view import Output
from yoto_tf.families.view import Prior
from yoto_tf.families.view import Total
from yoto_tf.families.view import Traversal
from yoto_tf.families.view import View

_NATS = "nats per image"

VIEW = View(
    signature="reconstruct",
    inputs=(Input("image", PICTURE),),
    outputs=(
        Output("reconstruction", PICTURE),
        Output("rate", form=",.2f", unit=_NATS),
        Output("distortion", form=",.1f", unit=_NATS),
    ),
    trade_off=("rate", "distortion"),
    total=Total(
        "full loss",
        terms=(("distortion", ""), ("rate", "beta")),
        form=",.1f",
        unit=_NATS,
    ),
    curve="curve",
    prior=Prior("sample", "noise", "image"),
    traversal=Traversal(
        "encode", "mean", "stddev", "decode", "latent", "image"
    ),
    noun="image",
)
