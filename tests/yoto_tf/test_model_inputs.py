"""What `fit`, `evaluate`, `predict` and a call are given: taken as meant, or
refused in one sentence, compiled by XLA or not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import ConditioningConfig
from yoto_tf import InputError
from yoto_tf import ModelConfig
from yoto_tf.method.assertions import as_input_errors

BETAS = np.float32([0.125, 512.0, 1.0, 64.0])
IMAGES = np.random.default_rng(0).integers(
    0, 256, (4, 32, 32, 3), dtype=np.uint8
)
UNIT = (IMAGES / 255).astype("float32")
RANGE = r"^expected float images in \[0, 1\], received: values from "


def make_vae(beta=None):
    keras.utils.set_random_seed(0)
    config = ModelConfig(
        latent_size=2,
        base_channels=1,
        convs_per_block=1,
        dense_units=4,
        conditioning=ConditioningConfig(kind="film", hidden_units=2),
    )
    return ConditionalVAE((32, 32, 3), config, beta, seed=0)


def compiled(**options):
    vae = make_vae()
    vae.compile(keras.optimizers.SGD(1e-4), **options)
    return vae


@pytest.fixture(scope="module", params=["xla", "graph"])
def in_graph(request):
    return compiled(jit_compile=request.param == "xla")


@pytest.fixture(scope="module")
def vae():
    """Without graphs, so that tests of many structures are fast."""
    return compiled(run_eagerly=True)


def with_nan():
    images = UNIT.copy()
    images[2, 3, 4, 1] = np.nan
    return images


def batches(images):
    return tf.data.Dataset.from_tensor_slices(images).batch(4)


def generator(images):
    def batches():
        yield (images,)

    return batches()


class Sequence(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__(workers=1)
        self.images = images

    def __len__(self):
        return 1

    def __getitem__(self, i):
        return (self.images,)


def check_pixels(vae, method, wrap):
    before = vae.get_weights()
    options = {} if "on_batch" in method else {"verbose": 0}
    if method == "fit":
        options["shuffle"] = False
    wrong = [
        (IMAGES.astype("float32"), "0 to 255"),
        (with_nan(), ""),
        (UNIT - 0.5, "-0.5 to 0.5"),
    ]
    # A graph is traced anew after each.
    for images, received in wrong if vae.run_eagerly else wrong[:2]:
        with pytest.raises(InputError, match=RANGE + received):
            getattr(vae, method)(wrap(images), **options)
    for old, new in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def same(images):
    return images


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_pixels_outside_the_unit_interval_reach_no_weight(in_graph, method):
    check_pixels(in_graph, method, same)


@pytest.mark.parametrize(
    ("method", "wrap"),
    [
        ("fit", same),
        ("fit", batches),
        ("fit", generator),
        ("fit", Sequence),
        ("evaluate", same),
        ("evaluate", batches),
        ("train_on_batch", same),
        ("test_on_batch", same),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_pixels_are_checked_however_they_are_given(vae, method, wrap):
    check_pixels(vae, method, wrap)


def test_validation_data_are_checked_too(vae):
    with pytest.raises(InputError, match=RANGE + "0 to 255"):
        vae.fit(IMAGES, validation_data=(IMAGES * 1.0,), verbose=0)


@pytest.mark.slow
def test_xla_computes_the_same_losses(monkeypatch):
    # It draws other noise: take none.
    monkeypatch.setattr(
        keras.random,
        "normal",
        lambda shape, dtype=None, seed=None: tf.zeros(shape, dtype),
    )
    plain, xla = compiled(run_eagerly=True), compiled(jit_compile=True)
    for _ in range(2):
        logs = [
            vae.fit(UNIT, shuffle=False, verbose=0).history
            for vae in (plain, xla)
        ]
        for name, value in logs[0].items():
            np.testing.assert_allclose(logs[1][name], value, rtol=1e-5)


LABELLED = {"image": IMAGES, "label": np.arange(4), "id": ["a"] * 4}


@pytest.mark.parametrize(
    "data",
    [
        {"x": UNIT.astype("float64")},
        {"x": UNIT.astype("float16")},
        {"x": IMAGES, "y": np.arange(4)},
        {"x": {"image": IMAGES}},
        {"x": tf.data.Dataset.from_tensor_slices(LABELLED).batch(4)},
        {
            "x": tf.data.Dataset.from_tensor_slices(
                (IMAGES, np.arange(4))
            ).batch(4)
        },
    ],
    ids="float64 float16 labels dict tfds supervised".split(),
)
def test_images_are_found_and_labels_are_not_used(data, vae, monkeypatch):
    seen = []
    terms = vae.loss_terms
    monkeypatch.setattr(
        vae,
        "loss_terms",
        lambda x, *args, **kwargs: seen.append(x) or terms(x, *args, **kwargs),
    )
    vae.evaluate(**data, verbose=0)
    images = seen[0].numpy()
    if images.dtype != np.uint8:
        images = np.round(images.astype("float32") * 255)
    np.testing.assert_array_equal(images, IMAGES)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ([IMAGES, IMAGES], "one array of images, received: a tuple"),
        ({"picture": IMAGES}, r"'image', received: a dict with \['picture'\]"),
        (IMAGES.astype("int64"), "uint8, or as float.*images.dtype=int64"),
        (IMAGES > 9, "images.dtype=bool"),
        (IMAGES.astype("complex64"), "images.dtype=complex64"),
        (tf.constant(["a", "b"]), "images.dtype=string"),
        (IMAGES[:, :16], r"\(batch, 32, 32, 3\).*\((None|4), 16, 32, 3\)"),
        (IMAGES[0], r"\(batch, 32, 32, 3\).*\((None|32), 32, 3\)"),
        (IMAGES[None], r"\(batch, 32, 32, 3\).*\((None|1), 4, 32, 32, 3\)"),
        (IMAGES.tolist(), "arrays or tensors, received: lists of int"),
        ({"image": IMAGES, "beta": [1.0] * 4}, "received: lists of float"),
        (None, "arrays, tensors or a Dataset, received: None"),
        ([], r"arrays, tensors or a Dataset, received: \[\]"),
        (IMAGES[:0], "one or more examples, received: none"),
        (
            tf.RaggedTensor.from_row_lengths(tf.zeros((6, 32, 3)), [2, 4]),
            "dense array, received: a RaggedTensor",
        ),
        (tf.sparse.eye(4), "dense array, received: a SparseTensor"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_what_is_no_array_of_images_is_refused(vae, method, images, sentence):
    options = {"shuffle": False} if method == "fit" else {}
    with pytest.raises(InputError, match=f"^expected .*{sentence}"):
        getattr(vae, method)(images, verbose=0, **options)


@pytest.mark.parametrize("keys", [["images"], ["inputs", "x"], [0, "a"], []])
@pytest.mark.parametrize("data", ["arrays", "a Dataset", "a generator"])
def test_a_new_model_looks_for_images_where_they_can_be(keys, data):
    """`fit` has a look of its own at the first images of a new model."""
    x = {key: IMAGES for key in keys}
    vae = ConditionalVAE((32, 32, 3), make_vae().model_config, seed=0)
    vae.compile("adam", run_eagerly=True)
    assert not vae.is_adapted
    if data == "a Dataset":
        if set(map(type, keys)) != {str}:
            pytest.skip("tf.data makes no such batches")
        x = batches(x)
    elif data == "a generator":
        x = ((batch,) for batch in [x])
    with pytest.raises(InputError, match=r"^expected .* received: .*") as said:
        vae.fit(x, shuffle=False, verbose=0)
    assert not keys or str(said.value) == (
        f"expected images, or a dict with 'image', received: a dict with {keys}"
    )


@pytest.mark.parametrize(
    "given",
    [
        [],
        [IMAGES[:0]],
        [None],
        ["a.png"],
        [IMAGES, IMAGES[:, :16]],
        [IMAGES, {"image": IMAGES}],
        [IMAGES.astype("int64")],
    ],
    ids="none empty None text sizes structures dtype".split(),
)
def test_first_batches_that_cannot_be(given):
    vae = ConditionalVAE((32, 32, 3), make_vae().model_config, seed=0)
    vae.compile("adam", run_eagerly=True)
    with pytest.raises(InputError, match=r"^expected .* received: .*"):
        vae.fit(((batch,) for batch in given), shuffle=False, verbose=0)
    # Nothing is left of them.
    vae.fit(UNIT, verbose=0)
    assert vae.is_adapted


@pytest.mark.parametrize("shape", [(None, 32, 32, 3), (None, None, None, 3)])
def test_sizes_are_checked_when_they_are_known(vae, shape):
    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
    def checked(images):
        images, _ = vae.check_batch(images, None)
        assert images.shape.as_list() == [None, 32, 32, 3]
        return images

    np.testing.assert_array_equal(checked(IMAGES), IMAGES)
    if shape[1] is None:
        with pytest.raises(InputError) as refused, as_input_errors():
            checked(IMAGES[:, :16])
        assert str(refused.value) == (
            "expected images of shape (batch, 32, 32, 3), "
            "received: images.shape=4 16 32 3"
        )


@pytest.mark.parametrize("shape", [None, (None, None, 3), (None, 16, None, 3)])
def test_sizes_that_cannot_be_are_refused_before_any_step(vae, shape):
    checked = tf.function(
        lambda images: vae.check_batch(images, None)[0], autograph=False
    )
    with pytest.raises(InputError, match=r"^expected images of shape \(batch"):
        checked.get_concrete_function(tf.TensorSpec(shape, tf.uint8))


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_fit_goes_on_with_the_right_data_after_wrong_ones(jit_compile):
    vae, untouched = (compiled(jit_compile=jit_compile) for _ in range(2))
    # XLA has random numbers of its own.
    untouched.run_eagerly = not jit_compile
    with pytest.raises(InputError, match="images of shape"):
        vae.fit(IMAGES[:, :16], verbose=0)
    losses = [
        m.fit(IMAGES, shuffle=False, verbose=0).history["loss"]
        for m in (vae, untouched)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.fixture(scope="module")
def predicting():
    """Not even compiled."""
    return make_vae()


@pytest.mark.slow
def test_predict_gives_what_a_call_gives(predicting):
    vae = predicting
    asked = {"beta": BETAS}
    noise = np.zeros((4, 2), "float32")
    called = vae(IMAGES, loss_parameters=asked, noise=noise)
    predicted = vae.predict(IMAGES, loss_parameters=asked, verbose=0)
    for name in ("mean", "stddev"):
        np.testing.assert_allclose(predicted[name], called[name], rtol=1e-4)
    default = vae.loss_parameters.defaults["beta"]
    np.testing.assert_allclose(
        vae.predict(IMAGES, verbose=0)["mean"],
        vae.encode(IMAGES, default)[0],
        rtol=1e-4,
        atol=1e-5,
    )
    for one in (16, 16.0, np.float64(16), [16] * 4):
        asked = {"beta": one}
        expected = vae.encode(IMAGES, 16.0)[0]
        for outputs in (
            vae(IMAGES, loss_parameters=asked),
            vae(UNIT, asked),
            vae.predict(IMAGES, loss_parameters=asked, verbose=0),
            vae.predict({"image": UNIT}, loss_parameters=asked, verbose=0),
        ):
            np.testing.assert_allclose(
                outputs["mean"], expected, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize(
    ("images", "beta", "sentence"),
    [
        (
            np.full((4, 32, 32, 3), 200.0),
            BETAS,
            r"float images in \[0, 1\], received: values from 200 to 200",
        ),
        (with_nan(), BETAS, r"float images in \[0, 1\]"),
        (
            IMAGES,
            np.float32([1.0, 5000.0, 1.0, 7000.0]),
            "beta between 0.125 and 512, received: beta=5000",
        ),
        (
            IMAGES,
            np.float32([1.0, np.nan, 1.0, 1.0]),
            "beta between 0.125 and 512, received: beta=nan",
        ),
        (IMAGES, np.zeros(4), "received: beta=0"),
        (IMAGES, 513, "received: beta=513"),
        (
            IMAGES,
            BETAS[:, None],
            r"number or one per example, .*beta.shape=\(4, 1\)",
        ),
        (IMAGES, BETAS[:3], r"one per example, .*beta.shape=\(3,\)"),
        (IMAGES[:, :16], BETAS, "images of shape"),
        (IMAGES.astype("int32"), BETAS, "dtype=int32"),
        ({"image": IMAGES, "beta": BETAS}, BETAS, "a dict with 'beta'"),
    ],
)
def test_predict_and_a_call_refuse_the_same(predicting, images, beta, sentence):
    asked = {"beta": beta}
    with pytest.raises(InputError, match=f"^expected .*{sentence}"):
        predicting(images, loss_parameters=asked)
    with pytest.raises(InputError, match=f"^expected .*{sentence}"):
        predicting.predict(images, loss_parameters=asked, verbose=0)


def test_predict_refuses_in_pipelines_too(predicting):
    data = {"inputs": UNIT, "loss_parameters": {"beta": BETAS * 2}}
    with pytest.raises(InputError, match="received: beta=1024"):
        predicting.predict(batches(data), verbose=0)


def test_a_call_wants_as_many_betas_as_images(vae):
    # Of a tensor the values are known when the graph runs.
    with pytest.raises(InputError, match="3 values for a batch of 4"):
        vae(IMAGES, loss_parameters={"beta": tf.constant(BETAS[:3])})


def test_betas_of_a_list_are_its_values_alone():
    vae = make_vae(BetaConfig(distribution="choice", values=(0.1, 2.0)))
    assert vae(IMAGES, {"beta": np.float32([0.1, 2, 2, 0.1])})
    with pytest.raises(InputError, match="one of 0.1, 2, received: beta=1"):
        vae.predict(IMAGES, loss_parameters={"beta": 1.0}, verbose=0)


def test_a_vae_is_a_layer_of_a_functional_model(vae):
    inputs = {
        "image": keras.Input((32, 32, 3), name="image"),
        "beta": keras.Input((), name="beta"),
    }
    asked = {"beta": inputs["beta"]}
    model = keras.Model(inputs, vae(inputs["image"], asked)["mean"])
    np.testing.assert_allclose(
        model({"image": UNIT, "beta": BETAS}),
        vae.encode(UNIT, BETAS)[0],
        rtol=1e-5,
        atol=1e-6,
    )
    with pytest.raises(InputError, match=r"images of shape \(batch, 32"):
        vae(keras.Input((16, 16, 3)), asked)
