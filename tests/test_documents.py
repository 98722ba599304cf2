"""The documents: the tutorial runs, the site builds."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import jupytext
import nbclient
import nbformat
import pytest
from waiting import OF_PROCESS

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_notebook_is_the_tutorial():
    text = jupytext.read(DOCS / "tutorial.md")
    notebook = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    cells = [
        [(c.cell_type, c.source) for c in n.cells] for n in (text, notebook)
    ]
    assert cells[0] == cells[1], (
        "jupytext --to ipynb docs/tutorial.md makes the notebook again"
    )
    # In the text alone there are no answers to keep up with.
    assert all(not c.get("outputs") for c in notebook.cells)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=OF_PROCESS,
        startup_timeout=OF_PROCESS,
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    printed = "\n".join(
        o.text
        for c in notebook.cells
        for o in c.get("outputs", [])
        if o.output_type == "stream"
    )
    missed = [
        int(line.split(": ")[1].split()[0])
        for line in printed.splitlines()
        if line.startswith("cost ")
    ]
    # The more a missed one costs, the fewer are missed.
    assert missed == sorted(missed, reverse=True)
    assert missed[0] > missed[-1]
    assert "expected miss between 0.1 and 10, received: miss=1000" in printed
    assert "'outputs': [[" in printed
    assert "What a missed tumour costs." in printed


@pytest.mark.slow
def test_the_readme_runs_as_it_stands(tmp_path):
    text = (ROOT / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    check = "print(cautious.shape, bool((cautious > 0).any()))"
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{check}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # The first five are malignant.
    assert printed.split("\n")[-2] == "(5, 1) True"
    assert (tmp_path / "models/alarms/1/saved_model.pb").exists()
    assert len(text.splitlines()) < 200


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    # A copy: what a run leaves beside the sources is no document.
    shutil.copytree(DOCS, tmp_path / "repo" / "docs")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "repo")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"),
            *(tmp_path / "repo" / "docs", tmp_path / "site"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "site" / "api.html").read_text()
    for name in ("LogUniform", "condition", "LossConditionalModel"):
        assert f"yoto_tf.{name}" in page.replace("</span>", "").replace(
            '<span class="pre">', ""
        )


def test_every_file_is_in_the_rooms():
    """By its name or by that of a folder below the packages."""
    text = (DOCS / "architecture.md").read_text()
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    quoted = [pathlib.Path(q) for q in re.findall(r"`([^`]+)`", text)]
    names = {q.name for q in quoted}
    packages = ("yoto_tf", "training", "export", "serving")
    files = [f for p in packages for f in sorted((ROOT / p).rglob("*.py"))]
    for file in files:
        relative = file.relative_to(ROOT)
        folders = {part.name for part in relative.parents if part.parts[1:]}
        assert (
            file.name in {"__init__.py", "__main__.py"}
            or file.name in names
            or folders & names
            or any("*" in n and file.match(n) for n in names)
        ), f"{relative} is not in docs/architecture.md"
    for path in quoted:
        assert path.suffix != ".py" or any(
            f.match(path.name) for f in [*files, *ROOT.glob("tests/*.py")]
        )
