"""Tables of probabilities and the bits that are written by them."""

import math

import numpy as np
import pytest
from scipy import stats

from yoto_tf.compression import coder
from yoto_tf.compression import tables
from yoto_tf.errors import InputError
from yoto_tf.families.compression.model.entropy import FURTHEST
from yoto_tf.families.compression.model.entropy import FactorizedPrior
from yoto_tf.families.compression.model.entropy import coded_gaussian_bits
from yoto_tf.families.compression.model.entropy import coded_hyper_bits
from yoto_tf.families.compression.model.entropy import noisy_gaussian_bits


def made(shape=(9, 7, 3), seed=0):
    """Symbols of the scales of their indices, some of them far out."""
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 64, shape).astype("uint8")
    symbols = np.rint(rng.normal(size=shape) * tables.SCALES[indices])
    symbols = symbols.astype("int32")
    symbols.flat[::50] = rng.integers(-30_000, 30_000, symbols.size // 50 + 1)
    symbols.flat[:2] = tables.MAX_SYMBOL, -tables.MAX_SYMBOL
    return symbols, indices


def hyper_counts(channels=4):
    rng = np.random.default_rng(1)
    weights = rng.random((channels, 2 * FURTHEST + 1))
    return tables.as_counts(weights / weights.sum(-1, keepdims=True))


def test_scales_are_64_evenly_in_their_logarithms():
    assert len(tables.SCALES) == 64
    np.testing.assert_allclose(tables.SCALES[[0, -1]], [0.11, 64])
    np.testing.assert_allclose(
        np.diff(np.log(tables.SCALES)), math.log(64 / 0.11) / 63
    )


@pytest.mark.parametrize("index", [0, 20, 40, 63])
def test_counts_are_those_of_a_rounded_gaussian(index):
    counts = tables.gaussian_counts()[index]
    furthest = (len(counts) - 2) // 2
    edges = np.arange(-furthest, furthest + 2) - 0.5
    wanted = np.diff(stats.norm.cdf(edges, scale=tables.SCALES[index]))
    # The middle pays for the roundings of the others.
    np.testing.assert_allclose(
        counts[:-1], wanted * 2**24, atol=len(counts) + 1
    )
    assert counts.sum() == 2**24
    assert counts.min() >= 1
    np.testing.assert_array_equal(counts[:-1], counts[-2::-1])


def test_bits_are_logarithms_of_probabilities():
    symbols, indices = made()
    wanted = 0.0
    for symbol, index in zip(symbols.flat, indices.flat, strict=True):
        counts = tables.gaussian_counts()[index]
        furthest = (len(counts) - 2) // 2
        if abs(symbol) <= furthest:
            wanted -= math.log2(counts[symbol + furthest] / 2**24)
        else:
            wanted += 16 - math.log2(counts[-1] / 2**24)
    found = tables.symbol_bits(symbols[None], indices[None])
    np.testing.assert_allclose(found, [wanted], rtol=1e-9)
    graph = coded_gaussian_bits(symbols[None], indices[None].astype("int32"))
    np.testing.assert_allclose(graph, [wanted], rtol=1e-5)


def test_hyper_bits_are_those_of_each_channels_table():
    counts = hyper_counts()
    symbols = np.random.default_rng(0).integers(-70, 70, (2, 5, 3, 4))
    wanted = np.zeros(2)
    for place, symbol in np.ndenumerate(symbols):
        inside = abs(symbol) <= FURTHEST
        entry = symbol + FURTHEST if inside else -1
        wanted[place[0]] -= math.log2(counts[place[-1], entry] / 2**24)
        wanted[place[0]] += 0 if inside else 16
    np.testing.assert_allclose(tables.hyper_bits(symbols, counts), wanted)
    np.testing.assert_allclose(
        coded_hyper_bits(symbols.astype("int32"), counts), wanted, rtol=1e-5
    )


def test_what_is_decoded_is_what_was_encoded():
    counts = hyper_counts()
    hyper_symbols = np.random.default_rng(0).integers(-70, 70, (5, 3, 4))
    hyper_symbols[0, 0, 0] = -4000
    symbols, indices = made()
    payload = coder.encode(hyper_symbols, symbols, indices, counts)
    decoder = coder.Decoder(payload)
    found = decoder.hyper_symbols((5, 3, 4), counts)
    np.testing.assert_array_equal(found, hyper_symbols)
    np.testing.assert_array_equal(decoder.symbols(indices), symbols)
    bits = tables.symbol_bits(symbols[None], indices[None])
    bits += tables.hyper_bits(hyper_symbols[None], counts)
    assert 0 <= 8 * len(payload) - bits[0] < 64


def test_many_symbols_take_what_was_estimated():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 64, (64, 64, 8)).astype("uint8")
    symbols = np.rint(rng.normal(size=indices.shape) * tables.SCALES[indices])
    symbols = symbols.astype("int32")
    payload = coder.encode(
        np.zeros((1, 1, 4), int), symbols, indices, hyper_counts()
    )
    bits = tables.symbol_bits(symbols[None], indices[None])[0]
    assert abs(8 * len(payload) / bits - 1) < 1e-3
    # And that is the entropy of what was drawn, within 1 %.
    entropy = sum(
        stats.entropy(counts / 2**24, base=2) * (indices == index).sum()
        for index, counts in enumerate(tables.gaussian_counts())
    )
    assert abs(bits / entropy - 1) < 0.01


def test_a_payload_of_half_a_word_is_refused():
    with pytest.raises(InputError, match="words of 4 bytes, received: 5"):
        coder.Decoder(b"12345")


@pytest.mark.parametrize("payload", [b"", bytes(40), b"1234" * 9])
def test_a_payload_of_another_kind_gives_other_symbols(payload):
    """Which the check of the symbols refuses then."""
    decoder = coder.Decoder(payload)
    assert decoder.hyper_symbols((2, 2, 4), hyper_counts()).shape == (2, 2, 4)
    assert decoder.symbols(np.zeros((8, 8, 3), "uint8")).shape == (8, 8, 3)


def test_a_payload_that_no_coder_writes_is_refused():
    decoder = coder.Decoder(b"\xff" * 40)
    with pytest.raises(InputError, match="cannot be decoded by its tables"):
        decoder.hyper_symbols((2, 2, 4), hyper_counts())


def test_noisy_bits_are_the_gaussians_share_of_the_unit_around():
    residuals = np.array([0.0, 0.3, -2.5, 7.0], "float32")
    indices = np.array([0.0, 10.0, 31.5, 63.0], "float32")
    scales = 0.11 * np.exp(indices * math.log(64 / 0.11) / 63)
    wanted = -np.log2(
        stats.norm.cdf((residuals + 0.5) / scales)
        - stats.norm.cdf((residuals - 0.5) / scales)
    )
    found = noisy_gaussian_bits(residuals, indices)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_prior_is_a_mixture_of_logistics_and_its_table_follows():
    prior = FactorizedPrior()
    prior.build((None, None, None, 2))
    rng = np.random.default_rng(0)
    prior.mixture.assign(rng.normal(size=prior.mixture.shape))
    locations, logs, logits = np.asarray(prior.mixture)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    def cdf(z):
        parts = stats.logistic.cdf(z, locations, np.exp(logs))
        return (parts * shares).sum(-1)

    z = np.array([-3.2, 0.0, 0.4, 5.0], "float32")
    wanted = [-np.log2(cdf(v + 0.5) - cdf(v - 0.5)) for v in z]
    given = np.repeat(z[:, None, None, None], 2, -1)
    np.testing.assert_allclose(prior(given)[:, 0, 0], wanted, rtol=1e-3)
    counts = prior.counts()
    assert counts.shape == (2, 2 * FURTHEST + 2)
    for v in (-10, 0, 3):
        share = cdf(v + 0.5) - cdf(v - 0.5)
        np.testing.assert_allclose(
            counts[:, v + FURTHEST], share * 2**24, atol=130
        )
    # Made anew of other weights, kept of the same.
    prior.table.assign(prior.table + 1)
    assert (prior.counts() == counts + 1).all()
    prior.mixture.assign(prior.mixture * 0.5)
    assert (prior.counts() != counts).any()
    assert (prior.counts().sum(-1) == 2**24).all()
