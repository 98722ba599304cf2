"""What the client refuses before it sends, and what it makes of the rest."""

import hypothesis
import numpy as np
import pytest
import serving_models
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from serving_models import address

from serving.client import Client
from serving.client import InvalidRequest
from serving.client import checks
from serving.client import metadata
from serving.client import vae
from serving.client.target import Target

MASKED = np.ma.masked_array([[1.0, 999.0]], [[False, True]])


@pytest.mark.parametrize(
    "check",
    [
        lambda: checks.numbers(MASKED[0], 2, "beta"),
        lambda: checks.latents(MASKED, 2, "latent"),
        lambda: checks.images(
            np.ma.masked_array(np.ones((1, 1, 2, 1), "uint8"), [[0, 1]]),
            (1, 2, 1),
        ),
    ],
)
def test_masked_entries_have_no_value_wherever_they_stand(check):
    with pytest.raises(InvalidRequest, match="without masked entries.*1 of"):
        check()


def test_beta_is_given_once():
    assert vae._asked(0.5, {"tc": 2.0}) == {"beta": 0.5, "tc": 2.0}
    with pytest.raises(InvalidRequest, match="beta once.*0.5.*512"):
        vae._asked(0.5, {"beta": 512})
    with pytest.raises(InvalidRequest, match="as a dict.*list"):
        vae._asked(0.5, [1])


DTYPES = st.one_of(
    hnp.floating_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.byte_string_dtypes(),
)
ANYTHING = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0))
IMAGES = st.one_of(
    ANYTHING,
    hnp.arrays(np.uint8, (2, 2, 3, 1)),
    hnp.arrays(np.float64, (2, 2, 3, 1), elements=st.floats(0, 1)),
    hnp.arrays(np.float32, (1, 2, 3, 1), elements=st.floats(width=32)),
)


@hypothesis.settings(deadline=None)
@hypothesis.given(IMAGES)
def test_images(values):
    fits = values.ndim == 4 and values.shape[1:] == (2, 3, 1) and len(values)
    good = fits and (
        values.dtype == np.uint8
        or (
            values.dtype.kind == "f"
            and bool(((values >= 0) & (values <= 1)).all())
        )
    )
    if not good:
        with pytest.raises(InvalidRequest, match="expected .*, received: "):
            checks.images(values, (2, 3, 1))
        return
    found = checks.images(values, (2, 3, 1))
    scale = 255 if values.dtype == np.uint8 else 1
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    np.testing.assert_allclose(found, values / scale, rtol=1e-6, atol=1e-40)


@hypothesis.settings(deadline=None)
@hypothesis.given(ANYTHING, st.integers(1, 3))
def test_betas(values, rows):
    number = values.dtype.kind in "fiu"
    if number and values.shape in ((), (rows,)):
        found = checks.numbers(values, rows, "beta")
        assert found.shape == (rows,)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(found, values.astype("float32"))
    else:
        with pytest.raises(InvalidRequest, match="expected beta as"):
            checks.numbers(values, rows, "beta")


@pytest.mark.parametrize(
    ("betas", "expected"),
    [
        ([1, 2, 3], [[1, 2, 3], [1, 2, 3]]),
        ([[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]),
        ([[1], [2]], [[1], [2]]),
        (7, [[7], [7]]),
    ],
)
def test_betas_of_a_curve(betas, expected):
    np.testing.assert_array_equal(checks.points(betas, 2, "beta"), expected)


@pytest.mark.parametrize(
    "betas",
    [[], [[], []], [[[1]]], [[1, 2]], [[1], [2], [3]], [[1, 2], [3]], ["a"]],
)
def test_betas_of_a_curve_that_are_refused(betas):
    with pytest.raises(InvalidRequest, match="expected "):
        checks.points(betas, 2, "beta")


@pytest.mark.parametrize("files", [b"one", "one", ["text"], [b"a", None], []])
def test_files_that_are_refused(files):
    with pytest.raises(InvalidRequest, match="expected .* files"):
        checks.files(files)


def test_inputs_of_a_signature():
    spec = metadata.TensorSpec
    signature = metadata.Signature({"x": spec("int64", (None, 2))}, {})
    good = np.ones((3, 2), np.int64)
    checks.inputs({"x": good}, signature, "s")
    for wrong, text in (
        ({}, r"the inputs \['x'\], received: \[\]"),
        ({"x": good, "y": good}, r"received: \['x', 'y'\]"),
        ({"x": good.astype("int32")},
         r"x as int64 \(any, 2\), received: int32 \(3, 2\)"),
        ({"x": good[:, :1]}, r"received: int64 \(3, 1\)"),
        ({"x": good[0]}, r"received: int64 \(2,\)"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest, match=f"s: expected .*{text}"):
            checks.inputs(wrong, signature, "s")


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([1, 2], "float32", np.float32([1, 2])),
        (1.5, "float64", np.float64(1.5)),
        ([1.0, 2.0], "int64", np.int64([1, 2])),
        ([1, 0], "bool", np.array([True, False])),
        ([b"a\0", "b"], "string", np.array([b"a\0", "b"], object)),
        (b"a\0", "string", np.array(b"a\0", object)),
        # An array is left as it is.
        (np.float64([1]), "float32", np.float64([1])),
    ],
)
def test_lists_as_inputs(value, dtype, expected):
    found = checks.as_input(value, metadata.TensorSpec(dtype, None), "x")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (["a"], "float32"),
        ([[1], [1, 2]], "float32"),
        ([300], "int8"),
        ([None], "float32"),
        (["1.5"], "float32"),
        ([b"2"], "float64"),
        ([True], "float32"),
        ([1e300], "float32"),
        ([10**400], "float64"),
        ([1], "string"),
        (np.float32([1]), "string"),
        ([None], "string"),
        # What NumPy would cut off.
        ([1.0, 1.7], "int32"),
        ([0.3], "uint8"),
        ([0.3], "bool"),
    ],
)
def test_lists_that_are_no_inputs(value, dtype):
    with pytest.raises(InvalidRequest, match=f"expected x as {dtype} of any"):
        checks.as_input(value, metadata.TensorSpec(dtype, None), "x")


@pytest.mark.parametrize(
    ("address", "netloc"),
    [
        ("grpc://localhost", "localhost:8500"),
        ("http://localhost", "localhost:8501"),
        ("http://serving.example:80/", "serving.example:80"),
        ("grpc://[::1]:9000", "[::1]:9000"),
    ],
)
def test_addresses(address, netloc):
    target = Target.parse(address, "m")
    assert target.netloc == netloc
    assert target.address == f"{address.split(':')[0]}://{netloc}"


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8500", "https://host", "grpc://", "http://host/v1/models/m",
        "http://host:port", "http://host:99999", "http://a:b@host", "", None,
        "http://host?x", "grpc://[::1",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(address):
    with pytest.raises(InvalidRequest, match="expected an address grpc://"):
        Client(address, model="m")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": ""}, "the name of a model, received: model=''"),
        ({"version": "1"}, "version='1'"),
        ({"version": -1}, "version=-1"),
        ({"version": 1, "label": "l"}, "a version or a label"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"timeout": None}, "timeout=None"),
        ({"timeout": float("inf")}, "at most 1e9.*timeout=inf"),
        ({"version": True}, "version=True"),
        ({"retries": -1}, "retries=-1"),
        ({"retries": 1.5}, "retries=1.5"),
        ({"retries": True}, "retries=True"),
        ({"version": np.array([2])}, "version=array"),
    ],
)
def test_arguments_that_are_refused(wrong, message):
    with pytest.raises(InvalidRequest, match=message):
        Client("http://localhost", **{"model": "m", **wrong})


def test_whole_numbers_of_any_kind_are_taken():
    target = Target.parse("http://localhost", "m", np.int64(2))
    assert (target.version, type(target.version)) == (2, int)
    Client("http://localhost", "m", np.uint8(1), retries=np.int32(3)).close()


def numbers(dtype):
    return hnp.arrays(dtype, 2, elements=hnp.from_dtype(np.dtype(dtype)))


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    base = tmp_path_factory.mktemp("echo")
    serving_models.image(base / "1")
    with (
        serving_models.running(base) as server,
        Client(address(server, "grpc"), "m") as grpc,
        Client(address(server, "http"), "m") as rest,
    ):
        yield grpc, rest


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    st.fixed_dictionaries(
        {
            "small": numbers("int8"),
            "large": numbers("uint64"),
            "flag": numbers("bool"),
            "long": numbers("int64"),
            "double": numbers("float64"),
        }
    ),
    numbers("float32"),
)
@hypothesis.example(
    {
        "small": np.zeros(2, "int8"),
        # What NumPy would make floats of.
        "large": np.array([0, 2**63], "uint64"),
        "flag": np.zeros(2, "bool"),
        "long": np.zeros(2, "int64"),
        "double": np.zeros(2, "float64"),
    },
    np.zeros(2, "float32"),
)
def test_every_value_comes_back_as_it_was_sent(clients, inputs, floats):
    for client in clients:
        found = client.predict("echo", inputs)
        assert set(found) == set(inputs)
        for name, array in inputs.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
        found = client.predict(
            "serving_default",
            {
                "image": np.abs(floats)[:, None, None, None]
                * np.ones((2, 2, 2, 1), np.float32),
                "beta": np.ones(2, np.float32),
            },
        )
        np.testing.assert_array_equal(
            found["reconstruction"][:, 0, 0, 0], np.abs(floats)
        )
