"""The conv nets: layers and strides of the paper's table, and where the
conditioning sits."""

import typing

import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.conditioning_config import ConditioningKind
from yoto_tf.errors import InputError
from yoto_tf.families import get_preset
from yoto_tf.families.vae.model.conv_nets import ConvDecoder
from yoto_tf.families.vae.model.conv_nets import ConvEncoder
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.families.vae.model_config import Site
from yoto_tf.families.vae.model_config import idle_settings

CIFAR = get_preset("cifar10_paper").config.model
SHAPES = get_preset("shapes3d_paper").config.model
TINY = {"latent_size": 3, "base_channels": 2, "dense_units": 8}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def linear_layers(net):
    """(kind, units, stride) of every layer, in order."""
    rows = []
    for stage in net.stages:
        layer = stage.layer
        if isinstance(layer, keras.layers.Dense):
            rows.append(("dense", layer.units, None))
        else:
            assert layer.kernel_size == (3, 3)
            assert layer.padding == "same"
            kind = {"Conv2D": "conv", "Conv2DTranspose": "transposed"}
            rows.append(
                (kind[type(layer).__name__], layer.filters, layer.strides[0])
            )
    return rows


def conditioned(net):
    """Names of the layers that are told the weight."""
    return [s.layer.name for s in net.stages if s.conditioning is not None]


def slopes(net):
    return [s.negative_slope for s in net.stages]


def config_with(kind, sites, base=None, **fields):
    given = {"hidden_units": 4, "largest_map": None}
    for name in idle_settings(kind, sites):
        given.pop(name, None)
    return ModelConfig(
        **{**TINY, **(base or {}), **fields},
        conditioning=ConditioningConfig(kind=kind, sites=sites, **given),
    )


def test_encoder_has_the_layers_of_the_papers_cifar_table():
    assert linear_layers(ConvEncoder((32, 32, 3), CIFAR)) == [
        ("conv", 8, 2),
        ("conv", 8, 1),
        ("conv", 16, 2),
        ("conv", 16, 1),
        ("conv", 32, 2),
        ("conv", 32, 1),
        ("dense", 256, None),
        ("dense", 512, None),
    ]


def test_decoder_has_the_layers_of_the_papers_cifar_table():
    assert linear_layers(ConvDecoder((32, 32, 3), CIFAR, 2)) == [
        ("dense", 256, None),
        ("dense", 512, None),
        ("transposed", 32, 1),
        ("transposed", 32, 2),
        ("transposed", 16, 1),
        ("transposed", 16, 2),
        ("transposed", 8, 1),
        ("transposed", 8, 2),
        ("conv", 6, 1),
    ]


def test_nets_have_the_layers_of_the_papers_shapes3d_table():
    assert linear_layers(ConvEncoder((64, 64, 3), SHAPES)) == [
        ("conv", 8, 2),
        ("conv", 16, 2),
        ("conv", 32, 2),
        ("conv", 64, 2),
        ("dense", 256, None),
        ("dense", 20, None),
    ]
    assert linear_layers(ConvDecoder((64, 64, 3), SHAPES)) == [
        ("dense", 256, None),
        ("dense", 1024, None),
        ("transposed", 64, 2),
        ("transposed", 32, 2),
        ("transposed", 16, 2),
        ("transposed", 8, 2),
        ("conv", 3, 1),
    ]


def test_twice_the_width_is_the_released_cifar_file():
    wide = ModelConfig.from_dict({**CIFAR.to_dict(), "width": 2})
    encoder = linear_layers(ConvEncoder((32, 32, 3), wide))
    decoder = linear_layers(ConvDecoder((32, 32, 3), wide, 2))
    assert [u for _, u, _ in encoder] == [16, 16, 32, 32, 64, 64, 512, 512]
    assert [u for _, u, _ in decoder] == [
        *(512, 1024),
        *(64, 64, 32, 32, 16, 16),
        6,
    ]
    film = ConvEncoder((32, 32, 3), wide).stages[1].conditioning
    assert (film.hidden_units, film.strength) == (512, 0.1)


def test_activations_are_those_of_the_authors():
    # None after the encoder's last block, its posterior and the decoder's
    # second dense layer and output.
    assert slopes(ConvEncoder((32, 32, 3), CIFAR)) == [
        *(0.3, 0.3, 0.3, 0.3, 0.3, None),
        *(0.2, None),
    ]
    assert slopes(ConvDecoder((32, 32, 3), CIFAR)) == [
        *(0.2, None),
        *(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, None),
    ]


@pytest.mark.parametrize("mode", ["fan_in", "fan_avg"])
def test_convs_start_with_the_authors_variance(mode):
    config = ModelConfig(base_channels=32, width=2, kernel_init=mode)
    encoder = ConvEncoder((32, 32, 3), config)
    encoder.build((None, 32, 32, 3), (None, 1))
    kernel = encoder.stages[2].layer.kernel  # 64 to 128 channels
    assert kernel.shape == (3, 3, 64, 128)
    fan = 9 * (64 if mode == "fan_in" else (64 + 128) / 2)
    expected = 2 / (1 + 0.3**2) / fan
    assert np.var(kernel) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("site", "in_encoder", "in_decoder"),
    [
        (
            "block",
            ["block_0_conv_1", "block_1_conv_1", "block_2_conv_1"],
            ["block_2_conv_1", "block_1_conv_1", "block_0_conv_1"],
        ),
        (
            "conv",
            [f"block_{b}_conv_{c}" for b in (0, 1, 2) for c in (0, 1)],
            [f"block_{b}_conv_{c}" for b in (2, 1, 0) for c in (0, 1)],
        ),
        ("dense", ["dense"], ["dense_0", "dense_1"]),
        ("posterior", ["posterior"], []),
        ("latent", [], ["latent"]),
        ("output", [], ["output"]),
    ],
)
def test_each_site_conditions_its_layers(site, in_encoder, in_decoder):
    config = config_with("film", (site,))
    assert conditioned(ConvEncoder((32, 32, 3), config)) == in_encoder
    assert conditioned(ConvDecoder((32, 32, 3), config)) == in_decoder


def test_all_sites_condition_every_layer_once():
    config = config_with("film", typing.get_args(Site))
    for net in (ConvEncoder, ConvDecoder):
        stages = net((32, 32, 3), config).stages
        assert all(s.conditioning is not None for s in stages)
    assert conditioned(ConvEncoder((32, 32, 3), config_with("none", ()))) == []


def test_maps_larger_than_the_limit_are_left_alone():
    # Maps of the encoder's blocks: 16, 8, 4; the decoder's last convs put
    # out 8, 16 and 32, its first ones half of that.
    config = ModelConfig(
        **TINY,
        conditioning=ConditioningConfig(
            kind="gate", sites=("conv", "dense", "output"), largest_map=8
        ),
    )
    assert conditioned(ConvEncoder((32, 32, 3), config)) == [
        *(f"block_{b}_conv_{c}" for b in (1, 2) for c in (0, 1)),
        "dense",
    ]
    assert conditioned(ConvDecoder((32, 32, 3), config)) == [
        *("dense_0", "dense_1"),
        *("block_2_conv_0", "block_2_conv_1", "block_1_conv_0"),
        "output",
    ]


def test_gates_are_sigmoid_in_the_encoder_and_roots_in_the_decoder():
    config = config_with("gate", ("conv", "dense"))
    for net, form in ((ConvEncoder, "sigmoid"), (ConvDecoder, "sqrt")):
        stages = net((32, 32, 3), config).stages
        forms = {s.conditioning.form for s in stages if s.conditioning}
        assert forms == {form}


def test_a_spline_takes_the_place_of_the_bias():
    config = config_with("spline", ("block", "posterior", "latent"))
    for net in (ConvEncoder, ConvDecoder):
        for stage in net((32, 32, 3), config).stages:
            with_bias = getattr(stage.layer, "use_bias", stage.conditioning)
            assert bool(with_bias) == (
                stage.conditioning is None or stage.layer.name == "latent"
            )


def allowed_combinations():
    sites = typing.get_args(Site)
    for kind in typing.get_args(ConditioningKind):
        for chosen in [*((s,) for s in sites), sites]:
            try:
                yield pytest.param(
                    config_with(kind, chosen, convs_per_block=1),
                    id=f"{kind}-{'+'.join(chosen)}",
                )
            except InputError:
                assert kind == "concatenation"
                assert {"output", "posterior"} & set(chosen)


@pytest.mark.parametrize("config", list(allowed_combinations()))
def test_every_kind_at_every_site_has_outputs_of_the_right_shape(config):
    k = 0 if config.conditioning.kind == "none" else 1
    c = np.zeros((2, k), "float32")
    encoder = ConvEncoder((32, 32, 3), config)
    assert encoder(np.zeros((2, 32, 32, 3), "float32"), c).shape == (2, 6)
    decoder = ConvDecoder((32, 32, 3), config, 2)
    z = np.zeros((2, 3), "float32")
    assert decoder(z, c).shape == (2, 32, 32, 6)


@pytest.mark.parametrize(
    ("size", "width"),
    [(32, 1), (32, 4), (64, 1), (64, 2), (128, 1)],
)
def test_every_width_runs_at_every_size(size, width):
    config = config_with("film", ("block", "dense"), width=width)
    blocks = {32: 3, 64: 4, 128: 5}[size]
    c = np.zeros((2, 1), "float32")
    encoder = ConvEncoder((size, size, 3), config)
    decoder = ConvDecoder((size, size, 3), config)
    # Latents do not widen.
    parameters = encoder(np.zeros((2, size, size, 3), "float32"), c)
    assert parameters.shape == (2, 6)
    assert decoder(parameters[:, :3], c).shape == (2, size, size, 3)
    channels = [2 * width * 2**b for b in range(blocks)]
    expected = [n for n in channels for _ in (0, 1)]
    convs = [u for kind, u, _ in linear_layers(encoder) if kind == "conv"]
    assert convs == expected
    transposed = [
        u for kind, u, _ in linear_layers(decoder) if kind == "transposed"
    ]
    assert transposed == expected[::-1]


@pytest.mark.parametrize(
    "kind", ["film", "sigmoid_film", "gate", "spline", "concatenation"]
)
def test_output_depends_on_the_conditioning_of_its_own_example(kind):
    config = config_with(kind, ("block",))
    decoder = ConvDecoder((32, 32, 3), config)
    rng = np.random.default_rng(0)
    z = np.repeat(rng.normal(size=(1, 3)).astype("float32"), 4, axis=0)
    c = np.float32([[-1.5], [-0.5], [0.5], [1.5]])
    decoder(z, c)
    for weight in decoder.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    together = decoder(z, c).numpy()
    for i in range(4):
        alone = decoder(z[i : i + 1], c[i : i + 1]).numpy()[0]
        np.testing.assert_allclose(together[i], alone, rtol=1e-4, atol=1e-5)
        assert i == 0 or not np.allclose(together[i], together[0], atol=1e-3)


def test_a_stage_is_layer_then_conditioning_then_activation():
    config = config_with("sigmoid_film", ("block",), convs_per_block=1)
    encoder = ConvEncoder((32, 32, 3), config)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    c = rng.normal(size=(2, 1)).astype("float32")
    encoder(x, c)
    stage = encoder.stages[0]
    features = stage.conditioning(
        tf.nn.conv2d(x, stage.layer.kernel.value, 2, "SAME")
        + stage.layer.bias.value,
        c,
    ).numpy()
    np.testing.assert_allclose(
        stage(x, c),
        np.where(features > 0, features, 0.3 * features),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "shape", [(32, 32), (32, 64, 3), (48, 48, 3), (16, 16, 3), (32, 32, 3, 1)]
)
def test_other_image_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"size of \(32, 64, 128\)"):
        ConvEncoder(shape, ModelConfig())
