"""Three unlike models from the export to a client's answers."""

import contextlib

import export_runs
import numpy as np
import pytest
import served_families
import serving_models

from serving.client import Client
from serving.client import InvalidRequest
from serving.client import checks
from serving.client import metadata
from serving.client.metadata import LossParameter


@contextlib.contextmanager
def asking(name, scheme):
    base = served_families.folder(name)
    with (
        serving_models.running(base, name, enable_model_warmup=False) as server,
        Client(serving_models.address(server, scheme), name) as client,
    ):
        yield client


@pytest.fixture(scope="module", params=["grpc", "http"])
def alarms(request):
    with asking("alarms", request.param) as client:
        yield client


@pytest.fixture(scope="module")
def tc():
    with asking("tc", "grpc") as client:
        yield client


def test_the_server_tells_of_every_loss_parameter(alarms, tc):
    assert alarms.metadata().loss_parameters == {
        "miss": LossParameter(
            *("miss", "between 0.1 and 10", "log", "What a miss costs."),
            *(0.1, 10.0, 2.0, ((0.1, 10.0),)),
        ),
        "smoothing": LossParameter(
            *("smoothing", "one of 0, 0.1, 0.4", "choice", ""),
            *(0.0, 0.4, 0.1, ((0.0, 0.0), (0.1, 0.1), (0.4, 0.4))),
        ),
    }
    assert list(tc.metadata().loss_parameters) == ["beta", "tc"]


def test_a_table_is_answered_under_both_parameters(alarms):
    x, model = served_families.rows(5), served_families.alarms()
    for asked in (
        {"miss": 4.0, "smoothing": 0.4},
        {"miss": [0.1, 0.5, 1, 5, 10]},
        {},
    ):
        found = alarms.predict("predict", {"inputs": x}, asked)
        values = {n: np.float32(v) for n, v in asked.items()}
        expected = model.predict(x, loss_parameters=values, verbose=0)
        np.testing.assert_allclose(
            found["probability"], expected["probability"], rtol=1e-4
        )
        assert found["in_range"].all()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"miss": 11}, "expected miss between 0.1 and 10, received: miss=11"),
        ({"smoothing": 0.2}, "smoothing one of 0, 0.1, 0.4, received: smoo"),
        ({"miss": [1, 2]}, r"miss as a number or one per row, shape \(5,\)"),
        ({"miss": "much"}, "expected miss as numbers"),
        ({"tc": 1}, r"among \['miss', 'smoothing'\], received: \['tc'\]"),
    ],
)
def test_what_was_not_trained_is_not_sent(alarms, asked, sentence):
    inputs = {"inputs": served_families.rows(5)}
    with pytest.raises(InvalidRequest, match=sentence) as refused:
        alarms.predict("predict", inputs, asked)
    assert "refused the request" not in str(refused.value)


def test_the_vaes_methods_take_further_parameters(tc):
    model, images = served_families.tc(), export_runs.images(2)
    further = {"tc": [0.5, 8]}
    found = tc.reconstruct(images, 4.0, further)
    expected = model.reconstruct(images, 4.0, {"tc": np.float32([0.5, 8])})
    np.testing.assert_allclose(found.reconstruction, expected, atol=1e-5)
    # Three betas, each of them beside the same tc.
    curve = tc.curve(images, [1, 8, 64], {"tc": 2.0})
    assert curve.rate.shape == (2, 3)
    for k, beta in enumerate([1, 8, 64]):
        one = tc.reconstruct(images, beta, {"tc": 2.0})
        np.testing.assert_allclose(curve.rate[:, k], one.rate, rtol=1e-4)
    own = tc.curve(images, [1, 8], {"tc": [[0.5, 8], [8, 0.5]]})
    one = tc.reconstruct(images, 8, {"tc": [8, 0.5]})
    np.testing.assert_allclose(own.rate[:, 1], one.rate, rtol=1e-4)
    with pytest.raises(InvalidRequest, match="as many values of tc as of"):
        tc.curve(images, [1, 8, 64], {"tc": [1, 2]})
    noise = export_runs.latents(2)
    np.testing.assert_allclose(
        tc.sample(noise, 4.0, {"tc": 8.0}),
        model.decode(noise, 4.0, {"tc": 8.0}),
        atol=1e-5,
    )


def test_shares_of_a_simplex_are_checked_together():
    names = ("a", "b")
    spec = metadata.TensorSpec("float32", (None,))
    known = {
        n: LossParameter(
            n, "above 0, with a sum of 1", "simplex", "", 0, 1, 0.5, ((0, 1),)
        )
        for n in names
    }
    signature = metadata.Signature(dict.fromkeys(names, spec), {})
    told = metadata.Metadata(1, {"s": signature}, known)
    found = checks.loss_parameters({"a": 0.3, "b": 0.7}, told, "s", {})
    np.testing.assert_allclose([*found["a"], *found["b"]], [0.3, 0.7])
    found = checks.loss_parameters({}, told, "s", {})
    np.testing.assert_allclose([*found["a"], *found["b"]], [0.5, 0.5])
    together = "expected a, b above 0 with a sum of 1, received: "
    for wrong, sentence in (
        # As the Keras model says it, and not "received: b=0.5".
        (
            {"a": 0.3},
            "expected all of ['a', 'b'], whose sum is 1, received: none of "
            "['b']",
        ),
        ({"a": 1.0, "b": 0.0}, f"{together}a=1 b=0, whose sum is 1"),
        ({"a": 1.5, "b": -0.5}, f"{together}a=1.5 b=-0.5, whose sum is 1"),
        ({"a": 0.5, "b": 0.75}, f"{together}a=0.5 b=0.75, whose sum is 1.25"),
        ({"a": [0.5, np.nan], "b": 0.5}, f"{together}a=nan b=0.5, whose sum "
         "is nan"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest) as refused:
            checks.loss_parameters(wrong, told, "s", {})
        assert str(refused.value) == sentence
    # What stands in the inputs counts, and is left to the server.
    half = {"a": np.float32([0.3])}
    assert checks.loss_parameters({"b": 0.75}, told, "s", half)["b"] == 0.75


def test_what_is_just_past_an_end_does_not_read_as_the_end():
    spec = metadata.TensorSpec("float32", (None,))
    known = LossParameter(
        "a", "between 0.1 and 10", "log", "", 0.1, 10, 1, ((0.1, 10),)
    )
    signature = metadata.Signature({"a": spec}, {})
    told = metadata.Metadata(1, {"s": signature}, {"a": known})
    for given, received in (
        (10.00002, "10.00002"),
        (0.0999998, "0.0999998"),
        (11, "11"),
        (1e10, "10000000000"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            checks.loss_parameters({"a": given}, told, "s", {})
        assert str(refused.value) == (
            f"expected a between 0.1 and 10, received: a={received}"
        )
    with pytest.raises(InvalidRequest, match="values from 0 to 1.0000001$"):
        checks.images(np.float32([[[[0], [1.0000001]]]]), (1, 2, 1))
