"""The documents: the tutorial runs, the site builds."""

import pathlib
import shutil
import subprocess
import sys

import jupytext
import nbclient
import nbformat
import pytest

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
        timeout=300,
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
