"""Every public name has an example, and it runs."""

import inspect
import re
import sys
import textwrap
import types

import keras
import numpy as np
import pytest

import yoto_tf
from yoto_tf.method import dirichlet
from yoto_tf.method import joint
from yoto_tf.method import mixture
from yoto_tf.method import parameters

# A preset's whole network, or many epochs.
_SLOW = {"ConditionalVAE", "ModelConfig", "StopOnDivergence"}


def example_of(name):
    """The code below `Example:` of a docstring, up to the next section."""
    text = inspect.cleandoc(getattr(yoto_tf, name).__doc__ or "")
    found = re.search(r"^Example:\n((?:    .*\n?|\n)+)", text, re.M)
    return textwrap.dedent(found[1]) if found else None


def names():
    documented = [n for n in yoto_tf.__all__ if callable(getattr(yoto_tf, n))]
    return [
        pytest.param(n, marks=pytest.mark.slow if n in _SLOW else ())
        for n in documented
    ]


@pytest.fixture
def around(tmp_path, monkeypatch):
    """What an example may use: the modules, and data of the usual names."""
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    net = yoto_tf.ModelConfig(
        latent_size=2, base_channels=1, convs_per_block=1, dense_units=4
    )
    model = yoto_tf.ConditionalVAE((32, 32, 3), net)
    model.compile("adam", run_eagerly=True)
    public = {
        n: v
        for module in (parameters, mixture, joint, dirichlet)
        for n, v in vars(module).items()
        if n in yoto_tf.__all__
    }
    return {
        **public,
        "yoto_tf": yoto_tf,
        "keras": keras,
        "np": np,
        "images": images,
        "model": model,
        "x": rng.normal(size=(64, 8)).astype("float32"),
        "y": rng.integers(0, 2, 64).astype("float32"),
    }


@pytest.mark.parametrize("name", names())
def test_the_example_runs(name, around):
    code = example_of(name)
    assert code, f"expected an Example in the docstring of yoto_tf.{name}"
    # A module, as a class needs one that is named by its place.
    module = types.ModuleType(f"example_of_{name}")
    vars(module).update(around)
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, f"<example of {name}>", "exec"), vars(module))
    finally:
        del sys.modules[module.__name__]


def test_presets_are_documented_by_their_help():
    assert all(p.summary and p.source for p in yoto_tf.PRESETS.values())
    # Commands set the full stop.
    assert not [p for p in yoto_tf.PRESETS.values() if p.summary[-1] == "."]
