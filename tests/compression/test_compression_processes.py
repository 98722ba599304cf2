"""Files of one process in another, and large ones, whatever TensorFlow is
told to compute with."""

import os
import pathlib
import subprocess
import sys

import compression_models
import numpy as np
import pytest
from compression_models import photo
from PIL import Image

from yoto_tf.compression.pixels import psnr_of
from yoto_tf.session import Session

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parents[2]

# Threads, and whether oneDNN has its say.
SETTINGS = [("1", "0"), ("2", "0"), ("1", "1"), ("2", "1")]

SCALES = """
import hashlib, sys
import numpy as np
import tensorflow as tf
import yoto_tf
from yoto_tf.compression import exact

model = yoto_tf.load_model(sys.argv[1])
rng = np.random.default_rng(0)
symbols = rng.integers(-60, 61, (8, 7, 5, 4))
lmbda = np.geomspace(0.0018, 0.18, 8).astype("float32")
graph = tf.function(model.scales_of, autograph=False)
together = [t.numpy() for t in graph(symbols, lmbda)]
alone = [
    [t.numpy() for t in graph(symbols[i : i + 1], lmbda[i : i + 1])]
    for i in range(8)
]
known = exact.hyper_decoder(
    model.stages(), symbols, model.steps_of(lmbda).numpy()
)
for k in range(2):
    assert (np.concatenate([a[k] for a in alone]) == together[k]).all()
    assert (known[k] == together[k]).all()
content = together[0].astype("<i4").tobytes() + together[1].tobytes()
print(hashlib.sha256(content).hexdigest(), len(np.unique(together[0])))
"""

LARGE = """
import sys
import numpy as np
from yoto_tf import provenance
from yoto_tf.compression import Codec

codec = Codec.load(sys.argv[1])
tile = np.load(sys.argv[2])
pixels = np.tile(tile, (16, 16, 1))[:, :6200]
assert pixels.shape[0] * pixels.shape[1] > 50_000_000
data = codec.compress(pixels, 30)
found = codec.decompress(data)
assert found.shape == pixels.shape
np.save(sys.argv[3], found[:600, :600])
print(provenance.peak_memory_mib(), len(data))
"""


def environment(threads, onednn):
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_ENABLE_ONEDNN_OPTS": onednn,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def ran(*words, settings=("2", "1")):
    ended = subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment(*settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split("\n")[-2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.keras"
    compression_models.tiny().save(path)
    return path


def test_scales_are_the_same_under_all_settings(model):
    said = {ran("-c", SCALES, model, settings=s) for s in SETTINGS}
    assert len(said) == 1
    (line,) = said
    # They are not all one.
    assert int(line.split()[1]) > 20


def test_the_session_of_servers_gives_the_scales_of_numpy(tmp_path):
    import served_families

    from yoto_tf.compression import exact

    rng = np.random.default_rng(0)
    symbols = rng.integers(-60, 61, (8, 6, 5, 4)).astype("int32")
    lmbda = np.geomspace(0.0018, 0.18, 8).astype("float32")
    model = compression_models.tiny()
    steps = model.steps_of(lmbda).numpy()
    wanted, _ = exact.hyper_decoder(model.stages(), symbols, steps)
    with Session(served_families.folder("compression") / "1") as session:
        asked = {"hyper_symbols": symbols, "lmbda": lmbda}
        found = session.run("scales", asked)["scale_indices"]
        np.testing.assert_array_equal(found, wanted)
        for i in range(8):
            alone = {n: v[i : i + 1] for n, v in asked.items()}
            found = session.run("scales", alone)["scale_indices"]
            np.testing.assert_array_equal(found[0], wanted[i])


def test_what_one_process_writes_another_reads(model, tmp_path):
    pixels = photo(300, 260)
    picture = tmp_path / "in.png"
    Image.fromarray(pixels).save(picture)
    made = []
    for i, (writer, reader) in enumerate(
        ((SETTINGS[0], SETTINGS[3]), (SETTINGS[3], SETTINGS[0]))
    ):
        file, out = tmp_path / f"{i}.ylic", tmp_path / f"{i}.png"
        command = ("-m", "yoto_tf.compression")
        ran(
            *(*command, "compress", picture, "-o", file),
            *("--model", model, "--quality", 70),
            settings=writer,
        )
        ran(
            *(*command, "decompress", file, "-o", out, "--model", model),
            settings=reader,
        )
        made.append(np.asarray(Image.open(out)).astype(int))
    codec = compression_models.tiny_codec()
    for i, found in enumerate(made):
        data = (tmp_path / f"{i}.ylic").read_bytes()
        wanted = codec.decompress(data)
        assert np.abs(found - wanted).max() <= 1
        assert psnr_of(pixels, found) > 8


def test_fifty_megapixels_fit_into_two_gibibytes(model, tmp_path):
    tile = photo(513, 400)
    np.save(tmp_path / "tile.npy", tile)
    said = ran(
        *("-c", LARGE, model),
        *(tmp_path / "tile.npy", tmp_path / "found.npy"),
    )
    assert float(said.split()[0]) < 2048
    # It is what the first million pixels alone would give.
    codec = compression_models.tiny_codec()
    part = np.tile(tile, (2, 2, 1))[:768, :768]
    alone = codec.decompress(codec.compress(part, 30))
    found = np.load(tmp_path / "found.npy").astype(int)
    # Away from the edge of the part, which 430 pixels see.
    difference = np.abs(found[:300, :300] - alone[:300, :300])
    assert (difference > 1).mean() < 1e-3
