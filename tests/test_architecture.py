"""Dependencies point one way; the rules of docs/architecture.md."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# Which of our own packages a folder may import.
_ALLOWED = {
    "yoto_tf": {"yoto_tf"},
    "training": {"training", "yoto_tf"},
    "export": {"export", "yoto_tf"},
    "serving": {"serving", "yoto_tf"},
}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("folder", sorted(_ALLOWED))
def test_a_folder_imports_only_what_lies_below_it(folder):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / folder).rglob("*.py")
        for name in _imports(path)
        if name.split(".")[0] in set(_ALLOWED) - _ALLOWED[folder]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "module",
    [
        "yoto_tf",
        "yoto_tf.families.vae.config",
        "yoto_tf.families.vae.presets",
        "yoto_tf.families.tabular.family",
        "yoto_tf.families.tabular.table",
        "yoto_tf.families.compression.family",
        "yoto_tf.compression.__main__",
        "training.train",
        "training.study.__main__",
        "training.tune",
        "export.saved_model",
        "serving.benchmark",
        "serving.demo",
        "serving.page.__main__",
    ],
)
def test_command_lines_parse_without_tensorflow(module):
    code = f"import sys, {module}; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def _outside_of_families():
    for folder in _ALLOWED:
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            # The package names what users import from it; the client has
            # methods with the VAE's names; references are those of tables.
            if not name.startswith("yoto_tf/families/") and name not in (
                "yoto_tf/__init__.py",
                "serving/client/vae.py",
                "training/references.py",
            ):
                yield name, ast.parse(path.read_text())


def test_nothing_imports_from_the_folder_of_a_family():
    wrong = [
        f"{name} imports {module}"
        for name, tree in _outside_of_families()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (module := node.module or "").startswith(
            tuple(
                f"yoto_tf.families.{name}"
                for name in ("compression", "tabular", "vae")
            )
        )
    ]
    assert wrong == []


def test_nothing_outside_of_the_vae_has_a_name_for_beta():
    def names(node):
        yield from (
            getattr(node, kind)
            for kind in ("id", "attr", "arg", "name", "value")
            if isinstance(getattr(node, kind, None), str)
        )

    wrong = [
        f"{path}: {name}"
        for path, tree in _outside_of_families()
        for node in ast.walk(tree)
        for name in names(node)
        # Adam's are beta_1, beta1_power and the like.
        if re.fullmatch(r"(.*[_.])?betas?(_[a-z].*)?", name)
    ]
    assert wrong == []


def test_no_source_file_is_two_rooms():
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for folder in _ALLOWED
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 330
    ]
    assert long == []
