"""Exported signatures in the C++ session: values, refusals, flagged rows."""

import io

import export_runs
import numpy as np
import picture_kinds
import pytest
import tensorflow as tf
from export_runs import betas
from export_runs import files
from export_runs import images
from export_runs import latents
from export_runs import png

from yoto_tf.data.pictures import read_square
from yoto_tf.data.preprocessing import to_square
from yoto_tf.families.vae import picture_files
from yoto_tf.families.vae.endpoints import vae_endpoints

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
SIZES = [1, 3, 8]


@pytest.fixture(
    scope="module",
    params=[("bernoulli", "error"), ("gaussian", "flag")],
    ids=lambda p: p[0],
)
def exported(request):
    return export_runs.exported(*request.param)


@pytest.fixture(scope="module")
def strict():
    return export_runs.exported("bernoulli", "error")


@pytest.fixture(scope="module")
def lenient():
    return export_runs.exported("gaussian", "flag")


def distortion(model, image, beta):
    """-log p(x|z) at the posterior's mean, term by term in float64."""
    mean, _ = model.encode(image, beta)
    x = image.astype("float64")
    p = np.asarray(model.likelihood_of(mean, {"beta": beta}), "float64")
    if model.model_config.likelihood == "bernoulli":
        p = 1 / (1 + np.exp(-p))
        nats = -(x * np.log(p) + (1 - x) * np.log1p(-p))
    else:
        center, raw = np.split(p, 2, -1)
        scale = np.log1p(np.exp(raw)) + 1e-6
        nats = 0.5 * ((2 * x - 1 - center) / scale) ** 2 + np.log(
            scale * np.sqrt(2 * np.pi)
        )
    return nats.sum((1, 2, 3))


def rate(model, image, beta):
    """KL(q || N(0, I)), term by term in float64."""
    m, s = (np.asarray(t, "float64") for t in model.encode(image, beta))
    return (0.5 * (m**2 + s**2 - 1) - np.log(s)).sum(-1)


@pytest.mark.parametrize("batch", SIZES)
@pytest.mark.parametrize("name", ["serving_default", "reconstruct"])
def test_reconstruct(exported, name, batch):
    image, beta = images(batch), betas(batch)
    found = exported.ask(name, image=image, beta=beta)
    expected = exported.model.reconstruct(image, beta)
    assert found["reconstruction"].dtype == np.float32
    np.testing.assert_allclose(found["reconstruction"], expected, **CLOSE)
    np.testing.assert_allclose(
        found["rate"], rate(exported.model, image, beta), rtol=1e-4
    )
    np.testing.assert_allclose(
        found["distortion"],
        distortion(exported.model, image, beta),
        rtol=1e-4,
    )
    np.testing.assert_array_equal(found["in_range"], np.ones(batch, bool))


@pytest.mark.parametrize("batch", SIZES)
def test_encode_and_decode(exported, batch):
    image, beta, z = images(batch), betas(batch), latents(batch)
    found = exported.ask("encode", image=image, beta=beta)
    mean, stddev = exported.model.encode(image, beta)
    np.testing.assert_allclose(found["mean"], mean, **CLOSE)
    np.testing.assert_allclose(found["stddev"], stddev, **CLOSE)
    expected = exported.model.decode(z, beta)
    for name, key in (("decode", "latent"), ("sample", "noise")):
        found = exported.ask(name, **{key: z}, beta=beta)
        np.testing.assert_allclose(found["image"], expected, **CLOSE)


@pytest.mark.parametrize("batch", SIZES)
def test_a_curve_is_reconstruct_for_every_beta(exported, batch):
    image = images(batch)
    grid = np.stack([betas(5) for _ in range(batch)])
    grid[0] = grid[0][::-1]
    found = exported.ask("curve", image=image, beta=grid)
    assert found["reconstruction"].shape == (batch, 5, 32, 32, 3)
    for k in range(5):
        one = exported.ask("reconstruct", image=image, beta=grid[:, k])
        for name in ("reconstruction", "rate", "distortion"):
            np.testing.assert_allclose(found[name][:, k], one[name], **CLOSE)


@pytest.mark.parametrize("batch", SIZES)
def test_picture_files(exported, batch):
    shapes = [(32, 32), (40, 50), (90, 33)]
    sent = [png(*shapes[i % 3], seed=i) for i in range(batch)]
    beta = betas(batch)
    found = exported.ask(
        "reconstruct_bytes", image_bytes=files(*sent), beta=beta
    )
    squares = np.stack([to_square(tf.io.decode_png(f), 32) for f in sent])
    expected = np.asarray(exported.model.reconstruct(squares, beta))
    pictures = np.stack(
        [tf.io.decode_png(f).numpy() for f in found["image_bytes"]]
    )
    assert np.abs(pictures / 255 - expected).max() < 0.51 / 255
    np.testing.assert_allclose(
        found["rate"], rate(exported.model, squares / 255, beta), rtol=1e-4
    )


def test_every_kind_of_picture_is_to_the_server_what_it_is_to_training(
    exported,
):
    kinds = picture_kinds.kinds()
    sent = files(*(file for file, _ in kinds.values()))
    beta = np.full(len(sent), 0.5, "float32")
    found = exported.ask("reconstruct_bytes", image_bytes=sent, beta=beta)
    squares = np.stack([read_square(io.BytesIO(f), 32) for f in sent])
    expected = rate(exported.model, squares / np.float32(255), beta)
    wrong = np.abs(found["rate"] / expected - 1) > 1e-4
    assert np.array(list(kinds))[wrong].tolist() == []
    assert len(np.unique(found["rate"])) > 30


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_of_every_kind_is_that_of_training(channels):
    kinds = picture_kinds.kinds()
    sent = files(*(file for file, _ in kinds.values()))
    found, good = tf.function(
        lambda data: picture_files.decode(data, (32, 32, channels), False),
        autograph=False,
    )(tf.constant(sent))
    assert good.numpy().all()
    for name, image, file in zip(kinds, found.numpy(), sent, strict=True):
        expected = read_square(io.BytesIO(file), 32, channels)
        np.testing.assert_array_equal(image, expected, err_msg=name)


@pytest.mark.parametrize("kind", picture_kinds.other_kinds())
def test_kinds_that_only_training_reads_are_refused(strict, kind):
    code, text = strict.refusal(
        "reconstruct_bytes",
        image_bytes=files(picture_kinds.other_kinds()[kind][0]),
        beta=betas(1),
    )
    assert code == "INVALID_ARGUMENT"
    assert "expected image_bytes to be a PNG or JPEG file, received" in text


def test_it_says_which_betas_it_was_trained_for(exported):
    found = exported.ask("loss_parameters", rows=np.zeros(2, "int32"))
    assert found["name"].tolist() == [[b"beta"]] * 2
    assert found["trained"].tolist() == [[b"between 0.5 and 512"]] * 2
    assert found["scale"].tolist() == [[b"log"]] * 2
    assert b"price of a nat of rate" in found["description"][1, 0]
    np.testing.assert_array_equal(found["ranges"], [[[[0.5, 512]]]] * 2)
    np.testing.assert_allclose(found["default"], [[16]] * 2, rtol=1e-6)


def test_the_ends_of_the_range_are_in_it_and_what_is_next_is_not(lenient):
    beta = np.float32([0.5, 512, 0.49999, 512.1, 0, -1, np.nan, np.inf])
    found = lenient.ask("reconstruct", image=images(8), beta=beta)
    assert found["in_range"].tolist() == [True, True] + [False] * 6


def test_an_empty_batch(exported):
    empty = {"image": images(0), "beta": betas(0)}
    found = exported.ask("reconstruct", **empty)
    assert found["reconstruction"].shape == (0, 32, 32, 3)
    assert found["rate"].shape == (0,)
    assert exported.ask("encode", **empty)["mean"].shape == (0, 4)
    found = exported.ask("sample", noise=latents(0), beta=betas(0))
    assert found["image"].shape == (0, 32, 32, 3)
    found = exported.ask(
        "reconstruct_bytes", image_bytes=files(), beta=betas(0)
    )
    assert found["image_bytes"].shape == (0,)
    found = exported.ask(
        "curve", image=images(2), beta=np.zeros((2, 0), "float32")
    )
    assert found["reconstruction"].shape == (2, 0, 32, 32, 3)


def test_the_same_request_has_the_same_answer(exported):
    inputs = {"image": images(3), "beta": betas(3)}
    first = exported.ask("reconstruct", **inputs)
    exported.ask("encode", **inputs)
    second = exported.ask("reconstruct", **inputs)
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value)


BAD_SHAPES = {
    "flat image": {"image": images(2).reshape(2, -1), "beta": betas(2)},
    "small image": {"image": images(2)[:, :16], "beta": betas(2)},
    "grey image": {"image": images(2)[..., :1], "beta": betas(2)},
    "no batch": {"image": images(2)[0], "beta": betas(2)},
    "scalar beta": {"image": images(2), "beta": np.float32(1)},
    "column of betas": {"image": images(2), "beta": betas(2)[:, None]},
}


@pytest.mark.parametrize("case", BAD_SHAPES)
def test_other_shapes_are_refused(exported, case):
    for name in ("serving_default", "reconstruct", "encode"):
        code, text = exported.refusal(name, **BAD_SHAPES[case])
        assert code == "INVALID_ARGUMENT"
        assert "not compatible with expected shape" in text


def test_one_beta_is_not_spread_over_a_batch(exported):
    z, image, beta = latents(2), images(2), betas(1)
    for name, inputs in {
        "reconstruct": {"image": image},
        "encode": {"image": image},
        "decode": {"latent": z},
        "sample": {"noise": z},
        "reconstruct_bytes": {"image_bytes": files(png(), png())},
    }.items():
        code, text = exported.refusal(name, **inputs, beta=beta)
        assert code == "INVALID_ARGUMENT"
        assert "expected one row of beta per row of" in text
        assert "[2] [1]" in text
    code, text = exported.refusal("curve", image=image, beta=beta[:, None])
    assert code == "INVALID_ARGUMENT"
    assert "[2] [1]" in text


def test_latents_of_another_length_are_refused(exported):
    for name, key in (("decode", "latent"), ("sample", "noise")):
        inputs = {key: np.zeros((2, 3), "float32"), "beta": betas(2)}
        code, text = exported.refusal(name, **inputs)
        assert code == "INVALID_ARGUMENT"
        assert "[2,3] is not compatible with expected shape [?,4]" in text


def test_a_curve_has_a_limit(exported):
    beta = np.ones((1, 257), "float32")
    code, text = exported.refusal("curve", image=images(1), beta=beta)
    assert code == "INVALID_ARGUMENT"
    assert "expected at most 256 betas per image, received:] [257]" in text


def test_a_batch_that_is_too_large_is_refused(exported):
    """A request of a few megabytes must not end the server."""
    for endpoint in vae_endpoints(exported.model):
        rows = endpoint.max_rows + 1
        inputs = endpoint.example(rows, None)
        code, text = exported.refusal(endpoint.name, **inputs)
        assert code == "INVALID_ARGUMENT", endpoint.name
        assert f"at most {rows - 1} rows per request, received:" in text
        assert f"[{rows}]" in text
    code, text = exported.refusal(
        "curve", image=images(5), beta=np.ones((5, 205), "float32")
    )
    assert code == "INVALID_ARGUMENT"
    expected = "at most 1024 entries of beta per request, received:] [1025]"
    assert expected in text


@pytest.mark.parametrize("bad", [0.4, 513, 0, -1, 1e30, np.nan, np.inf])
def test_a_beta_that_was_not_trained_is_refused(strict, bad):
    beta = np.float32([1, bad])
    expected = "expected beta between 0.5 and 512, received:] ["
    for name, inputs in {
        "reconstruct": {"image": images(2)},
        "encode": {"image": images(2)},
        "decode": {"latent": latents(2)},
        "sample": {"noise": latents(2)},
        "reconstruct_bytes": {"image_bytes": files(png(), png())},
    }.items():
        code, text = strict.refusal(name, **inputs, beta=beta)
        assert code == "INVALID_ARGUMENT"
        assert f"{expected}{np.float32(bad):g}]" in text
    code, text = strict.refusal("curve", image=images(1), beta=beta[None])
    assert code == "INVALID_ARGUMENT"
    assert f"{expected}{np.float32(bad):g}]" in text


@pytest.mark.parametrize("bad", [-0.001, 1.001, 255, np.nan, np.inf])
def test_pixels_outside_of_the_unit_interval_are_refused(strict, bad):
    image = images(2)
    image[1, 5, 5, 1] = bad
    code, text = strict.refusal("reconstruct", image=image, beta=betas(2))
    assert code == "INVALID_ARGUMENT"
    expected = f"image values in [0, 1], received:] [{np.float32(bad):g}"
    assert expected in text


def test_latents_that_are_no_numbers_are_refused(strict):
    z = latents(2)
    z[0, 0] = np.nan
    code, text = strict.refusal("decode", latent=z, beta=betas(2))
    assert code == "INVALID_ARGUMENT"
    assert "expected finite latent, received:] [nan]" in text


def with_size(width, height):
    """A PNG of few bytes whose header claims this size."""
    whole = png()
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return whole[:16] + size + whole[24:]


JPEG = tf.io.encode_jpeg(np.zeros((64, 64, 3), "uint8")).numpy()
# Start of frame: marker, length, bits per sample, height, width.
FRAME = JPEG.index(b"\xff\xc0") + 5
BAD_FILES = {
    "text": (b"hello", "to be a PNG or JPEG file, received bytes:] [5]"),
    "nothing": (b"", "to be a PNG or JPEG file, received bytes:] [0]"),
    "gif": (b"GIF89a" + bytes(50), "to be a PNG or JPEG file"),
    "png signature": (
        png()[:9],
        "to be a whole PNG file, received bytes:] [9]",
    ),
    "short png": (png()[:20], "to be a whole PNG file, received bytes:] [20]"),
    "half png": (png()[:200], "Invalid PNG"),
    "short jpeg": (JPEG[:50], "Invalid JPEG data, size 50"),
    "half jpeg": (JPEG[:-20], "Invalid JPEG data"),
    "bomb": (
        with_size(65535, 65535),
        "at most 16777216 pixels, received height and width:] [65535 65535]",
    ),
    "wide bomb": (with_size(2**31 - 1, 9), "height and width:] [9 2147483647]"),
    "jpeg bomb": (
        JPEG[:FRAME] + b"\xff\xdc" * 2 + JPEG[FRAME + 4 :],
        "at most 16777216 pixels, received height and width:] [65500 65500]",
    ),
    "no pixels": (with_size(0, 0), "PNG"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_are_no_pictures_are_refused(strict, case):
    content, expected = BAD_FILES[case]
    code, text = strict.refusal(
        "reconstruct_bytes",
        image_bytes=files(png(), content),
        beta=betas(2),
    )
    assert code == "INVALID_ARGUMENT"
    assert expected in text


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_are_no_pictures_are_flagged(lenient, case):
    beta = betas(3)
    good = lenient.ask(
        "reconstruct_bytes", image_bytes=files(png(), png(), png()), beta=beta
    )
    found = lenient.ask(
        "reconstruct_bytes",
        image_bytes=files(png(), BAD_FILES[case][0], png()),
        beta=beta,
    )
    assert np.isnan(found["rate"]).tolist() == [False, True, False]
    assert found["image_bytes"][1] == b""
    for row in (0, 2):
        assert found["image_bytes"][row] == good["image_bytes"][row]
        assert found["rate"][row] == good["rate"][row]


@pytest.mark.parametrize("bad", [0.4, 513, 0, -1, 1e30, np.nan, np.inf])
def test_a_flagged_row_leaves_its_neighbours_as_they_are(lenient, bad):
    image, beta, z = images(4), betas(4), latents(4)
    spoilt = np.where([0, 1, 0, 0], np.float32(bad), beta)
    rows = [0, 2, 3]
    for name, inputs in {
        "serving_default": {"image": image},
        "encode": {"image": image},
        "decode": {"latent": z},
        "sample": {"noise": z},
    }.items():
        good = lenient.ask(name, **inputs, beta=beta)
        found = lenient.ask(name, **inputs, beta=spoilt)
        for key, value in found.items():
            np.testing.assert_array_equal(value[rows], good[key][rows])
            if key != "in_range":
                assert np.isnan(value[1]).all()
        if name == "serving_default":
            assert found["in_range"].tolist() == [True, False, True, True]


def test_a_flagged_image_leaves_its_neighbours_as_they_are(lenient):
    image, beta = images(4), betas(4)
    spoilt = image.copy()
    spoilt[2, 0, 0, 0] = np.nan
    good = lenient.ask("reconstruct", image=image, beta=beta)
    found = lenient.ask("reconstruct", image=spoilt, beta=beta)
    assert found["in_range"].tolist() == [True, True, False, True]
    assert np.isnan(found["reconstruction"][2]).all()
    rows = [0, 1, 3]
    for key, value in found.items():
        np.testing.assert_array_equal(value[rows], good[key][rows])


def test_single_betas_of_a_curve_are_flagged(lenient):
    image, beta = images(2), np.stack([betas(3), betas(3)])
    good = lenient.ask("curve", image=image, beta=beta)
    beta[1, 2] = -1
    found = lenient.ask("curve", image=image, beta=beta)
    missing = np.array([[0, 0, 0], [0, 0, 1]], bool)
    np.testing.assert_array_equal(np.isnan(found["rate"]), missing)
    for key, value in found.items():
        assert np.isnan(value[missing]).all()
        np.testing.assert_array_equal(value[~missing], good[key][~missing])


def test_the_answer_depends_on_beta(exported):
    image = np.repeat(images(1), 8, axis=0)
    found = exported.ask("reconstruct", image=image, beta=betas(8))
    assert len(np.unique(found["rate"])) == 8
    assert np.ptp(found["reconstruction"], axis=0).max() > 1e-3
