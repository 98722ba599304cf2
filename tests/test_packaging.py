"""What `pip install .` brings: files beside the code, and that it runs."""

import contextlib
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib
import zipfile

import numpy as np
import pytest
import serving_pages
import urllib3

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("yoto_tf", "training", "export", "serving")


def files_beside_the_code():
    """Cards of released models, too: they name whose the pictures are."""
    return sorted(
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and not any(part.startswith(".") for part in path.parts)
    )


def test_every_file_beside_the_code_is_declared():
    found = files_beside_the_code()
    # What the code reads; the rest is for those who deploy.
    assert {
        "serving/page/page.css",
        "serving/tf_serving/batching.config",
        "training/studies/smoke.toml",
        "yoto_tf/released/compression/README.md",
    } <= set(found)
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
        "setuptools"
    ]
    patterns = setuptools["package-data"]["*"]
    packages = setuptools["packages"]["find"]["include"]
    left_out = [
        file
        for file in found
        if not any(
            fnmatch.fnmatch(pathlib.Path(file).name, p) for p in patterns
        )
        or not any(fnmatch.fnmatch(file.split("/")[0], p) for p in packages)
    ]
    assert left_out == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy: building one writes beside the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in (*FOLDERS, "pyproject.toml", "requirements.txt", "README.md"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            shutil.copy(ROOT / name, source)
    shutil.copy(ROOT / "LICENSE", source)
    to = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"]
    subprocess.run([*build, "-w", to, source], check=True)
    [made] = to.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs Python with nothing but the wheel and what it requires, in an
    empty folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin/python"
    install = [python, "-m", "pip", "install", "-q", "--retries", "10"]
    subprocess.run([*install, f"{wheel}[training,serving]"], check=True)
    own = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment = {**own, "TFDS_DATA_DIR": str(folder / "tfds")}

    def run(*words, start=False):
        ask = {"cwd": folder, "env": environment, "text": True}
        command = [python, *map(str, words)]
        if start:
            return subprocess.Popen(command, stdout=subprocess.PIPE, **ask)
        ended = subprocess.run(command, capture_output=True, check=False, **ask)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    run.folder = folder
    return run


@pytest.mark.slow
def test_the_wheel_holds_all_files(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    code = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {*files_beside_the_code(), *code} - held == set()
    # And nothing else, but what describes it.
    assert {name.split("/")[0] for name in held} == {
        *FOLDERS,
        *(name.split("/")[0] for name in held if ".dist-info/" in name),
    }
    assert not any(name.startswith("tests/") for name in held)


@contextlib.contextmanager
def _server(installed):
    ports = [serving_pages.free_port() for _ in range(2)]
    process = installed(
        *("-m", "serving.server", "--model_name=tiny"),
        "--model_base_path=models/tiny",
        *(f"--port={ports[0]}", f"--rest_api_port={ports[1]}"),
        start=True,
    )
    with process:
        try:
            yield f"grpc://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        finally:
            process.terminate()
    assert process.returncode == 0


def _page_title(installed, url):
    """Of the page for a server, once its own style has come, too."""
    process = installed(
        *("-m", "serving.page", "--url", url, "--model", "tiny"),
        *("--page-port", 0),
        start=True,
    )
    with process:
        try:
            address = process.stdout.readline().split()[1]
            config = json.loads(
                urllib3.request("GET", f"{address}/config").data
            )
        finally:
            process.terminate()
    assert process.returncode == 0
    style = (ROOT / "serving/page/page.css").read_text()
    assert style.strip() in config["css"]
    return config["title"]


@pytest.mark.slow
def test_an_installed_wheel_trains_exports_and_serves(installed):
    folder = installed.folder
    where = installed("-c", "import yoto_tf; print(yoto_tf.__file__)")
    assert where.startswith(f"{folder}/venv/lib")
    installed("-m", "training.train", "smoke", "--run-dir", "a run")
    assert "| beta |" in installed("-m", "training.evaluate", "a run")
    installed("-m", "training.plots", "a run")
    assert (folder / "a run/figures/trade_off.png").stat().st_size > 1000
    installed("-m", "export.saved_model", "a run", "--to", "models/tiny")
    assert (folder / "models/tiny/1/saved_model.pb").is_file()
    studies = installed(
        "-c", "from training.study.spec_file import shipped; print(shipped())"
    )
    assert "smoke" in studies

    with _server(installed) as (grpc, rest):
        image = np.random.default_rng(0).random((1, 32, 32, 3), "float32")
        np.save(folder / "image.npy", image)
        code = (
            "import numpy, sys\n"
            "from serving.client import Client\n"
            "with Client(sys.argv[1], 'tiny') as client:\n"
            "    client.wait_until_ready()\n"
            "    image = numpy.load('image.npy')\n"
            "    print(client.reconstruct(image, 4.0).rate[0])\n"
        )
        by_client = float(installed("-c", code, grpc))
        answer = urllib3.request(
            "POST",
            f"{rest}/v1/models/tiny:predict",
            json={
                "signature_name": "reconstruct",
                "inputs": {"image": image.tolist(), "beta": [4.0]},
            },
        )
        by_rest = json.loads(answer.data)["outputs"]["rate"][0]
        assert _page_title(installed, grpc) == "One model, every loss"
    # This process has the sources, not the wheel.
    import yoto_tf

    model = yoto_tf.load_model(folder / "a run/model.keras")
    mean, stddev = map(np.asarray, model.encode(image, 4.0))
    # KL of two normal distributions.
    expected = (mean**2 + stddev**2 - 1 - 2 * np.log(stddev)).sum() / 2
    np.testing.assert_allclose([by_client, by_rest], expected, rtol=1e-4)
