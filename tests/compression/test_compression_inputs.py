"""What a model of compression is given: pixels, or refused in one sentence."""

import compression_models
import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.endpoint import DEFAULT_SIGNATURE
from yoto_tf.errors import InputError
from yoto_tf.families.compression.endpoints import compression_endpoints
from yoto_tf.method.assertions import as_input_errors
from yoto_tf.verification import compare

PIXELS = compression_models.photo(64, 128)[None]
UNIT = PIXELS / np.float32(255)


@pytest.fixture(scope="module")
def model():
    model = compression_models.make()
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
    return model


WRONG = {
    "floats up to 255": (PIXELS.astype("float32"), r"values from \d+ to 2"),
    "below 0": (UNIT - 0.5, "values from -0.4"),
    "NaN": (np.where(UNIT > 0.5, np.nan, UNIT), "float images in"),
    "16 bits": (PIXELS.astype("uint16") * 257, "dtype=uint16"),
    "whole numbers": (PIXELS.astype("int64"), "dtype=int64"),
    "truth": (PIXELS > 99, "dtype=bool"),
    "sides": (PIXELS[:, :63], "multiples of 64, received: 63 x 128"),
    "no side": (PIXELS[:, :0], "multiples of 64, received: 0 x 128"),
    "grey": (PIXELS[..., :1], r"received: shape \(1, 64, 128, 1\)"),
}


@pytest.mark.parametrize("method", ["__call__", "predict", "evaluate", "fit"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_are_no_pixels_reaches_no_weight(model, method, wrong):
    images, sentence = WRONG[wrong]
    before = model.get_weights()
    options = {} if method == "__call__" else {"verbose": 0}
    with pytest.raises(InputError, match=f"^expected .*{sentence}"):
        getattr(model, method)(images, **options)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_floats_and_bytes_of_one_picture_are_answered_alike(model):
    found, wanted = model(UNIT), model(PIXELS)
    np.testing.assert_allclose(found["image"], wanted["image"], atol=1e-6)
    np.testing.assert_allclose(found["bits"], wanted["bits"], rtol=1e-4)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (PIXELS[:, :63], "multiples of 64, received: 63 128"),
        (PIXELS * 1.0, "values from .* to 2"),
    ],
)
def test_sides_that_a_graph_does_not_know_are_checked_when_it_runs(
    model, pixels, sentence
):
    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), pixels.dtype)]
    )
    def checked(images):
        return model.check_inputs(images)

    with pytest.raises(InputError, match=sentence), as_input_errors():
        checked(pixels)


class OffByOne:
    """Answers as the Keras model does, but for one pixel."""

    operations = frozenset()
    is_compiled = False

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self.signatures = {endpoint.name, DEFAULT_SIGNATURE}

    def run(self, signature, inputs):
        found = self._endpoint.reference(**inputs)
        image = found["image"].astype("uint8")
        image.flat[7] ^= 1
        return {**found, "image": image}


def test_a_pixel_that_falls_on_the_other_side_of_a_half_is_no_difference():
    """The session's sums differ in their last digits, and half of a step is as
    near to one whole number as to the other."""
    endpoints = compression_endpoints(compression_models.tiny())
    (endpoint,) = [e for e in endpoints if e.name == "synthesize"]
    differences = compare(OffByOne(endpoint), [endpoint], batch_sizes=(1,))
    assert {d.output: d.largest for d in differences}["image"] == 1
