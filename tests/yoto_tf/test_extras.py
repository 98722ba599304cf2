"""Extras of the package: what is missing is a sentence; the lists agree."""

import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from yoto_tf import extras

ROOT = pathlib.Path(__file__).parents[2]


def test_what_is_missing_is_named_with_the_command_that_installs_it():
    extras.require("training", "json", "numpy")
    with pytest.raises(ModuleNotFoundError) as raised:
        extras.require("training", "json", "no_such_module")
    assert str(raised.value) == (
        "expected the extra 'training' to be installed, as by: pip install "
        "'yoto_tf[training]', received: no module named 'no_such_module'"
    )


@pytest.mark.parametrize(
    ("command", "hidden", "extra"),
    [
        ("training.train", "tyro", "training"),
        ("export.saved_model", "tensorflow_serving", "serving"),
        ("serving.server", "grpc_health", "serving"),
        ("serving.page", "gradio", "serving"),
    ],
)
def test_commands_end_with_code_2_without_their_extra(command, hidden, extra):
    # As `python -m` does it, with one module that cannot be found.
    code = (
        "import importlib.util, runpy, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: (\n"
        f"    None if name == {hidden!r} else found(name, *more))\n"
        f"sys.argv = ['-m']\n"
        f"runpy.run_module({command!r}, run_name='__main__')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == (
        f"error: expected the extra {extra!r} to be installed, as by: pip "
        f"install 'yoto_tf[{extra}]', received: no module named {hidden!r}\n"
    )


def test_requirements_list_all_that_the_package_and_its_extras_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = set(project["dependencies"])
    for listed in project["optional-dependencies"].values():
        declared |= set(listed)
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    required = [line.split("#")[0].strip() for line in lines]
    required = [line for line in required if line]
    assert sorted(required) == sorted(declared)
    # Each with its reason.
    for line in lines:
        if re.match(r"\w", line):
            assert re.search(r"#\s*\w+", line), line


def test_the_library_imports_what_it_declares_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", d)[0] for d in project["dependencies"]}
    modules = {n.replace("-", "_").replace("pillow", "PIL") for n in names}
    # protobuf comes with TensorFlow, which has its messages.
    known = modules | {"yoto_tf", "google"} | sys.stdlib_module_names
    pattern = re.compile(r"^\s*(?:import|from) (\w+)", re.M)
    for path in (ROOT / "yoto_tf").rglob("*.py"):
        # Docstrings have lines of prose that begin like that.
        text = re.sub(r'"""[\s\S]*?"""', "", path.read_text())
        # What a sentence asks for where it is missing is of an extra.
        asked = re.findall(r"extras\.require\(\s*\"\w+\", (.*?)\)", text)
        optional = set(re.findall(r"\w+", " ".join(asked)))
        assert set(pattern.findall(text)) <= known | optional, path


@pytest.mark.parametrize(
    ("target", "installed"),
    [
        ("demo", ["--editable .[training]"]),
        ("serve", ["--editable .[training]", "--editable .[serving]"]),
        ("test", ["-r requirements.txt"]),
        ("check", ["-r requirements.txt"]),
    ],
)
def test_make_installs_what_a_command_needs(target, installed, tmp_path):
    said = subprocess.run(
        ["make", "--dry-run", f"VENV={tmp_path / 'venv'}", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"pip install .*?(--editable|-r) (\S+)", said)
    assert [f"{how} {what.strip(chr(39))}" for how, what in found] == installed
