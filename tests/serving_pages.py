"""A served export with its page, and a Chromium, for the page's tests."""

import asyncio
import base64
import contextlib
import gc
import io
import pathlib
import shutil
import socket
import warnings

import export_runs
import numpy as np
import pytest
from PIL import Image

from serving.embedded import model_config
from serving.embedded.options import ServerOptions
from serving.embedded.server import EmbeddedServer
from serving.page import launch

SIZE = export_runs.SIZE
LOW, HIGH = 0.5, 512.0
# Explicit waits end as soon as they can; this is for a slow machine.
PATIENCE_MS = 60_000
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def server(exported, port=0):
    """An embedded server, not started, for an export called `tiny`."""
    return EmbeddedServer(
        model_config.single_model("tiny", str(exported.path.parent)),
        ServerOptions(port=port, rest_api_port=0, enable_model_warmup=False),
    )


@contextlib.contextmanager
def without_loops_left_behind():
    """Gradio leaves event loops behind where none is running."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        asyncio.set_event_loop(None)
        gc.collect()


@contextlib.contextmanager
def launched(*args, **more):
    """`launch.page`, without the event loops that Gradio leaves behind."""
    with contextlib.ExitStack() as stack:
        with without_loops_left_behind():
            address = stack.enter_context(launch.page(*args, **more))
        yield address


def write_pictures(folder, num=5):
    """Writes pictures of the model's size; returns them, in order."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (num, SIZE, SIZE, 3), dtype=np.uint8)
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    return images


def decoded(uri):
    """The pixels of a `data:` URI."""
    kind, _, text = uri.partition(",")
    if kind != "data:image/png;base64":
        raise AssertionError(uri[:40])
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def expected(exported, image, beta):
    """What the C++ session says: reconstruction uint8, rate, distortion."""
    answer = exported.ask(
        "reconstruct",
        image=image[None] / np.float32(255),
        beta=np.float32([beta]),
    )
    pixels = (answer["reconstruction"][0] * 255).round().astype(np.uint8)
    return pixels, answer["rate"][0], answer["distortion"][0]


@contextlib.contextmanager
def chromium(profile):
    """A headless Chromium; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import expect
    from playwright.sync_api import sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            pathlib.Path(profile),
            executable_path=path,
            headless=True,
            args=_ARGUMENTS,
            viewport={"width": 1280, "height": 800},
        )
        context.set_default_timeout(PATIENCE_MS)
        try:
            yield context
        finally:
            context.close()
