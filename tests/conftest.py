"""What several test files share: quiet logs, prepared data, a trained run."""

import collections
import gc
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import made_once
import pytest

# At the end of a test instead, and not in the middle of one.
gc.disable()

ROOT = pathlib.Path(__file__).parents[1]

_seconds = collections.Counter()


def pytest_runtest_logreport(report):
    file = report.nodeid.split("::")[0]
    _seconds[str(pathlib.PurePath(file).parent)] += report.duration


def pytest_collection_finish():
    """What the imports made stays: no collection looks at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Collects what a test has left while it is young, which takes no time.

    Among it the iterators that a refused `fit` left in its traceback: one of
    `tf.data` that is found after seconds may make its end wait as long again
    for the thread that tunes it.
    """
    result = yield
    last = nextitem is None or nextitem.path != item.path
    gc.collect(1 if last else 0)
    return result


def pytest_sessionfinish():
    made_once.remove()


def pytest_terminal_summary(terminalreporter):
    """Says where the time went, summed over the processes."""
    terminalreporter.section("minutes by folder")
    for folder, seconds in _seconds.most_common():
        terminalreporter.write_line(f"{seconds / 60:6.2f}  {folder}")


def _prepare_tiny(folder):
    import tensorflow_datasets as tfds

    import yoto_tf.data.rendered_shapes3d  # noqa: F401

    tfds.builder(
        "rendered_shapes3d/tiny", data_dir=folder
    ).download_and_prepare()


@pytest.fixture(scope="session")
def data_dir():
    """A TFDS folder of the session's own with `rendered_shapes3d/tiny`."""
    return made_once.made_once("tfds", _prepare_tiny)


@pytest.fixture(scope="session")
def smoke_config(data_dir):
    """The preset `smoke` on the session's own data."""
    import dataclasses

    from yoto_tf.families import get_preset

    config = get_preset("smoke").config
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, data_dir=str(data_dir)),
    )


@pytest.fixture(scope="session")
def trained_run(smoke_config):
    """A finished and evaluated run of `smoke`; tests must not change it."""
    from training.evaluate import evaluate
    from training.train import train
    from yoto_tf.run_directory import RunDirectory

    def make(folder):
        _, run = train(
            smoke_config, folder / "smoke", preset="smoke", verbose=0
        )
        evaluate(run)

    return RunDirectory(made_once.made_once("runs", make) / "smoke")


@pytest.fixture(scope="session")
def cifar10_dir():
    """A TFDS folder with the real CIFAR-10; skips where there is none."""
    candidates = [os.environ.get("TFDS_DATA_DIR"), ROOT.parent / "shared/tfds"]
    for folder in filter(None, candidates):
        if (pathlib.Path(folder) / "cifar10").is_dir():
            return str(folder)
    pytest.skip(
        "needs CIFAR-10 prepared by TFDS: set TFDS_DATA_DIR to its folder"
    )
