"""The hyper-decoder in whole numbers: the same everywhere, to the last bit."""

import compression_models
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.compression import exact
from yoto_tf.compression.quality import STEPS
from yoto_tf.compression.quality import lambda_of
from yoto_tf.errors import InputError
from yoto_tf.families.compression.config import CompressionConditioningConfig
from yoto_tf.families.compression.config import CompressionModelConfig
from yoto_tf.families.compression.model.hyperprior import CompressionModel
from yoto_tf.method.parameters import LogUniform

STEPS_TRIED = np.array([0, 1, 5000, STEPS // 2, STEPS])


def hyper_symbols(batch=5, height=3, width=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-40, 41, (batch, height, width, 4))


def whole(value, unit, limit):
    """As Python's numbers, which have no rounding."""
    number = float(value) * unit
    return max(-limit, min(limit, round(number)))


def by_python(stages, symbols, step):
    """The definition in Python's whole numbers, loop by loop, for one
    picture: nested lists."""

    def halved(number, bits):
        # Floor of number / 2**bits + 1/2.
        return (number + (1 << bits >> 1)) >> bits

    def clipped(number):
        return max(-(2**22), min(2**22, number))

    x = [[[int(v) * 1024 for v in p] for p in row] for row in symbols]
    for number, stage in enumerate(stages):
        kernel = np.vectorize(lambda v: whole(v, 4096, 2**17), otypes=[object])(
            stage.kernel
        )
        bias = [whole(v, 2**22, 2**42) for v in stage.bias]
        height, width = len(x), len(x[0])
        made = []
        for i in range(height):
            made.append([])
            for j in range(width):
                sums = list(bias)
                for di in range(3):
                    for dj in range(3):
                        a, b = i + di - 1, j + dj - 1
                        if not (0 <= a < height and 0 <= b < width):
                            continue
                        for c, value in enumerate(x[a][b]):
                            for o in range(len(sums)):
                                sums[o] += value * kernel[di, dj, c, o]
                made[-1].append([clipped(halved(s, 12)) for s in sums])
        if stage.knots is not None:
            place = step * (len(stage.knots) - 1)
            below = min(place >> 14, len(stage.knots) - 2)
            share = place - (below << 14)
            for row in made:
                for pixel in row:
                    for o, value in enumerate(pixel):
                        scale, shift = (
                            halved(
                                whole(stage.knots[below, k, o], 4096, 2**17)
                                * (2**14 - share)
                                + whole(
                                    stage.knots[below + 1, k, o], 4096, 2**17
                                )
                                * share,
                                14,
                            )
                            for k in range(2)
                        )
                        moved = value * (4096 + scale) + shift * 1024
                        pixel[o] = clipped(halved(moved, 12))
        if number < 2:
            channels = len(made[0][0]) // 4
            x = [
                [
                    made[i // 2][j // 2][(2 * (i % 2) + j % 2) * channels :][
                        :channels
                    ]
                    for j in range(2 * width)
                ]
                for i in range(2 * height)
            ]
            x = [
                [[v if v >= 0 else halved(v, 3) for v in p] for p in row]
                for row in x
            ]
        else:
            x = made
    made = np.array(x, "float64")
    means, raw = np.split(made, 2, -1)
    indices = np.array(
        [max(0, min(63, 24 + halved(int(v), 7))) for v in raw.ravel()]
    )
    return indices.reshape(raw.shape), means / 1024


def test_the_numpy_form_is_the_definition_in_whole_numbers():
    stages = compression_models.tiny().stages()
    symbols = hyper_symbols(1, 2, 1)
    for step in (0, 5000, STEPS):
        indices, means = exact.hyper_decoder(stages, symbols, [step])
        wanted = by_python(stages, symbols[0], step)
        np.testing.assert_array_equal(indices[0], wanted[0])
        np.testing.assert_array_equal(means[0], wanted[1])
    # What is compared is not all one value.
    assert len(np.unique(indices)) > 20
    assert means.std() > 0.3


def test_the_graph_gives_the_numbers_of_numpy():
    model = compression_models.tiny()
    symbols = hyper_symbols()
    symbols[0, 0, 0] = 30_000  # clipped on its way in
    wanted = exact.hyper_decoder(model.stages(), symbols, STEPS_TRIED)
    graph = tf.function(model.hyper_decoder.coded)
    for coded in (model.hyper_decoder.coded, graph):
        indices, means = coded(symbols, np.float64(STEPS_TRIED))
        np.testing.assert_array_equal(indices, wanted[0])
        np.testing.assert_array_equal(means, wanted[1])


def test_a_row_is_the_same_alone_and_a_part_as_in_the_whole():
    stages = compression_models.tiny().stages()
    symbols = hyper_symbols(8, 6, 5)
    steps = np.arange(8) * 2000
    together = exact.hyper_decoder(stages, symbols, steps)
    for row in (0, 7):
        alone = exact.hyper_decoder(
            stages, symbols[row : row + 1], steps[row : row + 1]
        )
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a[0], b[row])
    # Two hyper-latents around are all that is seen.
    part = exact.hyper_decoder(stages, symbols[:, :5], steps)
    for a, b in zip(part, together, strict=True):
        np.testing.assert_array_equal(a[:, : 3 * 4], b[:, : 3 * 4])


def test_sums_that_float32_would_round_are_exact():
    """Weights and features at their limits, one unit beside a sum of 2**51."""
    kernel = np.full((3, 3, 512, 8), 32.0, "float32")
    kernel[1, 1, 0, 1] -= 2.0**-12
    stage = exact.Stage(kernel, np.zeros(8, "float32"))
    x = np.full((1, 3, 3, 512), 2.0**22)
    found = np.zeros((1, 3, 3, 8))
    for order in (slice(None), slice(None, None, -1)):
        sums = 0
        for i in range(9):
            shifted = x[0, 1, 1][order]
            values = exact.whole(kernel, exact.WEIGHT, exact.MAX_WEIGHT)
            sums = sums + shifted @ values.reshape(9, 512, 8)[i][order]
        found[0, 1, 1] = sums
        assert int(sums[0]) == 9 * 512 * 2**17 * 2**22 < 2**53
        assert int(sums[0] - sums[1]) == 2**22
    assert stage.kernel.shape[0] * 3 * 512 <= exact.MAX_PRODUCTS


def test_the_trained_network_is_the_coded_one_up_to_rounding():
    model = compression_models.tiny()
    symbols = hyper_symbols()
    lmbda = [lambda_of(s, *model.lambda_ends) for s in STEPS_TRIED]
    told = model.coordinates({"lmbda": tf.constant(lmbda, tf.float32)})
    means, indices = model.hyper_decoder(symbols.astype("float32"), told)
    coded_indices, coded_means = model.hyper_decoder.coded(
        symbols, np.float64(STEPS_TRIED)
    )
    np.testing.assert_allclose(means, coded_means, rtol=2e-3, atol=0.1)
    difference = np.clip(indices, 0, 63) - np.asarray(coded_indices)
    # Half a step is what rounding to the table changes.
    assert np.abs(difference).max() < 0.9
    assert np.abs(difference).mean() < 0.3


def test_steps_of_lambdas_are_those_that_made_them():
    model = compression_models.tiny()
    steps = np.arange(0, STEPS + 1, 7)
    lmbda = [lambda_of(int(s), *model.lambda_ends) for s in steps]
    # As a server is sent them.
    found = model.steps_of(tf.constant(lmbda, tf.float32))
    np.testing.assert_array_equal(found, steps)


@pytest.mark.parametrize("sites", [("latent",), ("analysis", "synthesis")])
def test_without_the_site_hyper_lambda_changes_no_scale(sites):
    model = compression_models.make(sites=sites)
    assert all(stage.knots is None for stage in model.stages())
    symbols = hyper_symbols(1)
    first = exact.hyper_decoder(model.stages(), symbols, [0])
    last = exact.hyper_decoder(model.stages(), symbols, [STEPS])
    np.testing.assert_array_equal(first[1], last[1])


@pytest.mark.parametrize("exponent", [0.0, 0.25, 0.5, None])
def test_gains_start_as_a_power_of_lambda(exponent):
    """Those of before there was an exponent are of the square root."""
    network = CompressionModelConfig(channels=4, latents=6).to_dict()
    if exponent is None:
        del network["conditioning"]["gain_exponent"]
    else:
        network["conditioning"]["gain_exponent"] = exponent
    model = CompressionModel(network, {"lmbda": LogUniform(0.002, 0.2)})
    lmbda = np.float32([0.002, 0.02, 0.2])
    image = np.random.default_rng(0).random((1, 64, 64, 3), "float32")
    found = np.asarray(model.latents_of(np.repeat(image, 3, 0), lmbda))
    # At the start the analysis makes nothing of lambda.
    power = 0.5 if exponent is None else exponent
    for latents, decades in zip(found, (-1, 0, 1), strict=True):
        expected = found[1] * 10.0 ** (power * decades)
        np.testing.assert_allclose(latents, expected, rtol=1e-3, atol=1e-6)
    with pytest.raises(InputError, match="from 0 to 1.*gain_exponent=1.5"):
        CompressionConditioningConfig(gain_exponent=1.5)
