"""The documentation as a site: `python -m sphinx -W docs build/site`.

Offline: nothing is fetched when it is built or read.
"""

import os
import sys
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
project = _project["name"]
release = version = _project["version"]
copyright = "the authors of yoto_tf, Apache 2.0"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
# Studies' reports are linked from the texts, and found in the repository.
exclude_patterns = ["studies/*/results.csv", "studies/*/bd_rates.md"]
html_theme = "furo"
html_title = f"yoto_tf {version}"
html_show_sourcelink = False
# Headings are link targets, as on a forge.
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"show-inheritance": False}
napoleon_google_docstring = True
napoleon_custom_sections = [("Call arguments", "params_style")]


def _examples_are_code(app, what, name, obj, options, lines):
    """Makes the block below `Example:` code; napoleon takes it for prose."""
    lines[:] = [
        "**Example**::" if line.strip() == "Example:" else line
        for line in lines
    ]
    for i, line in enumerate(lines):
        if line == "**Example**::":
            lines.insert(i + 1, "")


def setup(app):
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", _examples_are_code, priority=400)
