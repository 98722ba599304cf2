"""Pictures to bytes and back."""

import compression_models
import numpy as np
import pytest
import tensorflow as tf
from compression_models import photo

from yoto_tf.compression import container
from yoto_tf.compression import targets
from yoto_tf.compression import transforms
from yoto_tf.compression.codec import Codec
from yoto_tf.compression.fingerprint import fingerprint_of
from yoto_tf.compression.pixels import psnr_of
from yoto_tf.compression.tiles import tiles
from yoto_tf.compression.transforms import Transforms
from yoto_tf.errors import InputError
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.precision import default_policy


@pytest.fixture(scope="module")
def codec():
    return compression_models.tiny_codec()


@pytest.mark.parametrize(
    "shape", [(64, 64, 3), (1, 1, 3), (65, 130, 3), (70, 50), (33, 64, 1)]
)
def test_pictures_of_any_size_come_back_as_the_model_makes_them(codec, shape):
    pixels = photo(*shape[:2])[..., : (*shape, 0)[2] or None]
    if len(shape) == 2:
        pixels = pixels[..., 0]
    data = codec.compress(pixels, 40)
    found = codec.decompress(data)
    assert found.dtype == np.uint8
    assert found.shape == (shape if shape[-1] == 3 else shape[:2])
    # What the Keras model answers, in another way.
    rgb = pixels.reshape(*shape[:2], -1)
    rgb = np.repeat(rgb, 3 // rgb.shape[-1], -1)
    margins = [(0, -side % 64) for side in shape[:2]]
    whole = np.pad(rgb, (*margins, (0, 0)), "edge")
    lmbda = 0.0018 * 100 ** (6554 / 2**14)
    answer = compression_models.tiny()(whole[None], {"lmbda": lmbda})
    wanted = np.asarray(answer["image"])[0, : shape[0], : shape[1]] * 255
    if shape[-1] != 3:
        wanted = wanted.mean(-1)
    assert np.abs(found - wanted).max() < 1.01
    # And as many bits as it counts, a word of the coder and the header more.
    assert 0 < 8 * (len(data) - container.HEADER_BYTES) - answer["bits"][0] < 80


def test_a_file_is_as_large_as_its_estimate(codec):
    pixels = photo(256, 320)
    for quality in (0, 50, 100):
        data = codec.compress(pixels, quality)
        estimate = codec.estimate(pixels, quality)
        assert abs(len(data) - estimate.bits / 8) < 0.01 * len(data) + 64
        assert estimate.bits_per_pixel == estimate.bits / 256 / 320
        made = codec.decompress(data)
        assert estimate.psnr == pytest.approx(psnr_of(pixels, made), abs=0.01)
        error = np.mean((pixels.astype("float64") - made) ** 2)
        assert psnr_of(pixels, made) == pytest.approx(
            10 * np.log10(255**2 / error)
        )


def test_the_same_picture_makes_the_same_bytes(codec):
    pixels = photo(100, 90)
    again = Codec(compression_models.tiny())
    assert codec.compress(pixels, 70) == again.compress(pixels, 70)
    assert codec.compress(pixels) == codec.compress(pixels, 50)
    assert codec.compress(pixels, 70) != codec.compress(pixels, 20)


@pytest.mark.slow
def test_a_damaged_file_gives_no_pixels(codec):
    """All flips of one bit, and some of all bits of two neighbours."""
    data = codec.compress(photo(40, 64), 0)
    assert len(data) < 1000
    wrong = []
    for place in range(len(data)):
        for flipped in (*(1 << bit for bit in range(8)), 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= flipped
            wrong.append(damaged)
    wrong += [data[:-1], data[:20], data + b"\0", bytes(len(data)), b""]
    for damaged in wrong:
        with pytest.raises(InputError, match="^expected .*received: "):
            codec.decompress(damaged)


def test_a_file_whose_symbols_differ_is_refused(codec):
    """As of a machine that computes other scales."""
    file = container.unpack(codec.compress(photo(64, 64), 30))
    for changes in (
        {"symbols_check": file.symbols_check ^ 1},
        {"step": file.step + 4000},
        {"payload": file.payload[:-4]},
        {"payload": bytes(len(file.payload))},
    ):
        forged = container.pack(container.Container(**vars(file) | changes))
        with pytest.raises(InputError, match="symbols"):
            codec.decompress(forged)


def test_a_file_of_another_model_is_refused(codec):
    data = codec.compress(photo(64, 64), 30)
    for other in (
        compression_models.make(seed=1),
        compression_models.make(sites=("latent",)),
    ):
        with pytest.raises(InputError, match="a file of this model"):
            Codec(other).decompress(data)


def test_a_change_of_any_weight_is_another_model(codec):
    model = compression_models.make()
    assert fingerprint_of(model) == codec.fingerprint
    for weight in model.trainable_variables:
        before = weight.numpy()
        changed = before.copy()
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(9))
        weight.assign(changed)
        assert fingerprint_of(model) != codec.fingerprint, weight.path
        weight.assign(before)
    assert fingerprint_of(model) == codec.fingerprint


@pytest.mark.slow
def test_a_model_that_was_saved_reads_what_was_written(codec, tmp_path):
    pixels = photo(64, 90)
    data = codec.compress(pixels, 60)
    compression_models.tiny().save(tmp_path / "model.keras")
    loaded = Codec.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.decompress(data), codec.decompress(data)
    )
    with pytest.raises(InputError, match="which is not there"):
        Codec.load(tmp_path / "none.keras")


def test_a_model_that_was_trained_since_writes_and_reads_nothing():
    model = compression_models.make()
    codec, pixels = Codec(model), photo(64, 64)
    data = codec.compress(pixels, 50)
    bias = model.analysis[-1].bias
    bias.assign(bias + 0.01)
    for act in (
        lambda: codec.compress(pixels, 50),
        lambda: codec.compress_to(pixels, psnr=codec.estimate(pixels).psnr),
        lambda: codec.decompress(data),
    ):
        with pytest.raises(InputError, match="trained or loaded since"):
            act()
    again = Codec(model)
    again.decompress(again.compress(pixels, 50))


def test_weights_that_are_not_finite_are_refused():
    model = compression_models.make()
    model.analysis[-1].bias.assign(model.analysis[-1].bias + np.nan)
    with pytest.raises(InputError, match="finite weights.*bias"):
        Codec(model)


def test_a_range_of_lambdas_in_which_float32_has_few_values_is_read():
    model = compression_models.make(lmbda=LogUniform(0.01, 0.010005))
    codec, pixels = Codec(model), photo(64, 64)
    for quality in np.linspace(0, 100, 23):
        data = codec.compress(pixels, float(quality))
        np.testing.assert_array_equal(
            codec.decompress(data), codec.decompress(data)
        )


def test_files_of_half_precision_are_read_as_those_of_float32():
    model = compression_models.make()
    pixels = photo(128, 128)
    data = Codec(model).compress(pixels, 70)
    with default_policy("mixed_bfloat16"):
        half = compression_models.make()
    half.set_weights(model.get_weights())
    assert half.compute_dtype == "bfloat16"
    codec = Codec(half)
    np.testing.assert_array_equal(
        codec.decompress(data), Codec(model).decompress(data)
    )
    assert codec.compress(pixels, 70) == data
    assert half.compute_dtype == "bfloat16"


def test_models_whose_gains_start_elsewhere_are_others():
    one, other = (
        compression_models.make(gain_exponent=power) for power in (0.25, 0.5)
    )
    other.set_weights(one.get_weights())
    assert fingerprint_of(one) != fingerprint_of(other)


def test_a_model_of_one_lambda_has_no_quality():
    codec = Codec(compression_models.make(lmbda=0.02))
    pixels = photo(64, 64)
    data = codec.compress(pixels)
    assert codec.decompress(data).shape == pixels.shape
    assert codec.estimate(pixels).quality is None
    with pytest.raises(InputError, match="no quality for a model of one"):
        codec.compress(pixels, 40)
    with pytest.raises(InputError, match="no target for a model of one"):
        codec.compress_to(pixels, psnr=30)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((64, 64, 3), "float32"),
        np.zeros((64, 64, 4), "uint8"),
        np.zeros((2, 64, 64, 3), "uint8"),
        np.zeros((0, 64, 3), "uint8"),
        np.zeros((64,), "uint8"),
        np.broadcast_to(np.uint8(0), (70_000, 2, 3)),
    ],
)
def test_other_pixels_are_refused(codec, pixels):
    with pytest.raises(InputError, match="^expected .*received: "):
        codec.compress(pixels)


def test_another_model_is_refused():
    with pytest.raises(InputError, match="of the family compression"):
        Codec(tf.keras.Sequential())


# Large pictures.


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (9, 4)])
def test_tiles_cover_each_cell_once(height, width):
    seen = np.zeros((height, width), int)
    numbers = np.arange(height * width).reshape(height, width)
    for tile in tiles(height, width, 4, 1):
        seen[tile.core] += 1
        part = numbers[tile.outer]
        np.testing.assert_array_equal(part[tile.inner], numbers[tile.core])
        assert max(part.shape) <= 6
    assert (seen == 1).all()


def test_a_picture_in_parts_is_the_whole_one(monkeypatch):
    """No seams: the symbols are the same, and the pixels to one level."""
    pixels = photo(512, 640)
    whole = Transforms(compression_models.tiny())
    z, symbols, indices = whole.analyze(pixels, 9000)
    picture = whole.synthesize(z, symbols, 9000)
    monkeypatch.setattr(transforms, "CORE", 16)
    monkeypatch.setattr(transforms, "WHOLE_PIXELS", 256**2)
    found = whole.analyze(pixels, 9000)
    # Roundings of float32 move one in many over a half.
    assert (found[0] != z).mean() < 1e-3
    if (found[0] == z).all():
        np.testing.assert_array_equal(found[2], indices)
        assert (found[1] != symbols).mean() < 1e-3
    np.testing.assert_array_equal(whole.indices(z, 9000), indices)
    made = whole.synthesize(z, symbols, 9000)
    assert np.abs(np.int32(made) - picture).max() <= 1
    assert len(np.unique(symbols)) > 5
    assert picture.std() > 10


# Targets.


def test_targets_are_met(codec):
    pixels = photo(192, 192)
    ends = [codec.estimate(pixels, q).bits_per_pixel for q in (0, 100)]
    wanted = (ends[0] * ends[1]) ** 0.5
    data, estimate = codec.compress_to(pixels, bits_per_pixel=wanted)
    assert 8 * len(data) / 192**2 == pytest.approx(wanted, rel=0.02)
    assert estimate.bits_per_pixel == pytest.approx(wanted, rel=0.02)
    with pytest.raises(InputError, match=r"expected a target from .* to"):
        codec.compress_to(pixels, bits_per_pixel=100.0)
    for wrong in ({}, {"psnr": 30, "bits_per_pixel": 1}):
        with pytest.raises(InputError, match="one of them"):
            codec.compress_to(pixels, **wrong)


def test_the_search_assumes_no_order():
    """Of a curve that falls, rises and falls again."""

    def wavy(step):
        share = step / 2**14
        return 30 + 4 * share + 3 * np.sin(7 * share)

    seen = []

    def counted(step):
        seen.append(step)
        return wavy(step)

    values = [wavy(s) for s in range(0, 2**14 + 1, 64)]
    for target in np.linspace(min(values) + 0.01, max(values) - 0.01, 9):
        seen.clear()
        step = targets.psnr(counted, float(target))
        assert abs(wavy(step) - target) <= 0.1
        assert len(seen) == len(set(seen)) < 40
    for target in (20.0, 50.0):
        with pytest.raises(InputError, match="which this picture has"):
            targets.psnr(wavy, target)


def test_a_jump_over_the_target_is_said():
    def jumping(step):
        return 1.0 if step < 5000 else 2.0

    with pytest.raises(InputError, match="the nearest is 1"):
        targets.bits_per_pixel(jumping, 1.4)
    assert targets.bits_per_pixel(jumping, 2.01) >= 5000


def test_targets_may_be_numpys(codec):
    pixels = photo(64, 64)
    bits = np.float32(codec.estimate(pixels, 50).bits_per_pixel)
    data, _ = codec.compress_to(pixels, bits_per_pixel=bits)
    assert 8 * len(data) / 64**2 == pytest.approx(bits, rel=0.03)
    codec.compress_to(pixels, psnr=np.float64(codec.estimate(pixels).psnr))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), "1"])
def test_targets_that_are_none_are_refused(wrong):
    with pytest.raises(InputError, match="expected a target above 0"):
        targets.bits_per_pixel(float, wrong)
