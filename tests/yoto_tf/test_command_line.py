"""What the command lines share: Keras' settings, sentences, quoted words."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import keras
import pytest

from yoto_tf import command_line
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

ROOT = pathlib.Path(__file__).parents[2]


def ended(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# A package that is not installed, and a name that is none: Keras fails for
# them in different ways.
@pytest.mark.parametrize("backend", ["jax", "nonsense"])
def test_another_backend_of_keras_is_refused_in_a_sentence(backend):
    code = (
        "import yoto_tf\n"
        "for name in ('ConditionalVAE', 'LogUniform', 'load_model'):\n"
        "    try:\n"
        "        getattr(yoto_tf, name)\n"
        "    except yoto_tf.InputError as error:\n"
        "        print(error)\n"
        "from yoto_tf.command_line import reported_on_the_command_line\n"
        "from yoto_tf.command_line import import_keras_quietly\n"
        "with reported_on_the_command_line():\n"
        "    import_keras_quietly()\n"
    )
    answer = ended(code, KERAS_BACKEND=backend)
    sentence = (
        "expected Keras with the TensorFlow backend, received: "
        f"KERAS_BACKEND='{backend}'"
    )
    assert [line[: len(sentence)] for line in answer.stdout.splitlines()] == (
        [sentence] * 3
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: {sentence}")
    assert answer.stderr.count("\n") == 1


def test_the_file_of_keras_is_read_as_well(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "nonsense"}))
    environment = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    answer = ended("import yoto_tf.models", **environment)
    assert "InputError: expected Keras with the TensorFlow" in answer.stderr
    assert "received: that of its keras.json" in answer.stderr


NOTEBOOK = {"MPLBACKEND": "module://of_a_notebook.not_installed"}


@pytest.mark.slow
def test_a_notebooks_way_to_show_figures_stops_no_program():
    """Keras imports matplotlib by itself, and TensorFlow Keras."""
    code = (
        "import os\n"
        "from yoto_tf.command_line import import_keras_quietly\n"
        "import_keras_quietly()\n"
        "import training.drawing\n"
        "print(os.environ['MPLBACKEND'])\n"
    )
    answer = ended(code, **NOTEBOOK)
    assert answer.stdout.strip() == NOTEBOOK["MPLBACKEND"], answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("variable", [NOTEBOOK, {"KERAS_BACKEND": "nonsense"}])
def test_what_uses_no_keras_does_not_ask_for_its_settings(variable, tmp_path):
    server = ["serving.server", f"--model_config_file={tmp_path}/none"]
    page = ["serving.page", "--model", "m", "--data", "none"]
    for command, said in [
        (server, "none: No such file or directory\n"),
        ([*page, "--page-port", "0"], "expected --data as a folder"),
    ]:
        answer = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**os.environ, **variable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 2
        assert said in answer.stderr
        assert answer.stderr.count("\n") == 1


def test_settings_that_change_a_run_in_silence_are_refused(monkeypatch):
    command_line.import_keras_quietly()
    monkeypatch.setattr(keras.config, "max_epochs", lambda: 1)
    with pytest.raises(InputError, match="KERAS_MAX_EPOCHS not to be set"):
        command_line.import_keras_quietly()


_WRITE = (
    "import os\n"
    # Ignored where the suite runs in the background.
    "import signal\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from yoto_tf.command_line import reported_on_the_command_line\n"
    "with reported_on_the_command_line():\n"
    "    {}\n"
)


def _in_bash(pipeline):
    """Its first command's return code, and what is said."""
    return subprocess.run(
        ["bash", "-c", f"{pipeline}; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("shell", "body", "code", "said"),
    [
        # The reader has gone, before and after the buffer is full.
        ("| true", "import time; time.sleep(1); print(1)", 2, "closed it"),
        ("| head -1", "for i in range(10**5): print(i)", 2, "closed it"),
        ("> /dev/full", "print(1)", 2, "No space left on device"),
        ("> /dev/full", "for i in range(10**5): print(i)", 2, "No space left"),
        (">&-", "print(1)", 0, ""),
        ("2>&-", "print(1)", 0, ""),
        # The file that is opened next must not get what goes to stderr.
        ("<&- >&- 2>&-", "assert os.open('.', 0) > 2; os.write(2, b'')", 0, ""),
        ("", "os.kill(os.getpid(), 2)", 130, "interrupted"),
    ],
)
def test_streams_that_end_early_end_in_a_sentence(shell, body, code, said):
    inner = (
        f"{shlex.quote(sys.executable)} -c {shlex.quote(_WRITE.format(body))}"
    )
    answer = _in_bash(f"{inner} {shell}")
    assert answer.returncode == code, answer.stderr
    assert said in answer.stderr
    assert answer.stderr.count("\n") == (1 if said else 0)


def test_a_help_whose_reader_has_gone_ends_in_a_sentence():
    python = shlex.quote(sys.executable)
    answer = _in_bash(f"(sleep 1; {python} -m training.study --help) | true")
    assert answer.returncode == 2, answer.stderr
    assert answer.stderr == "error: whoever read the output has closed it\n"


@pytest.mark.parametrize(
    "path", ["runs/a", "my runs/a", "Läufe/β=1", "a'b", "$HOME/x", "a;b", "-a"]
)
def test_commands_are_to_be_copied(path, tmp_path):
    words = ["python", "-m", "training.evaluate", path]
    assert shlex.split(command_line.command(*words[2:])) == words
    run = RunDirectory(tmp_path / path)
    with pytest.raises(InputError) as refused:
        run.read_curve()
    said = str(refused.value).split("first run: ")[1]
    assert shlex.split(said) == [*words[:3], str(run.path)]


def test_every_command_that_is_printed_can_be_copied():
    """A path with a space, pasted as it is, is two arguments."""
    printed = [
        line.strip()
        for folder in ("training", "export", "serving", "yoto_tf")
        for file in (ROOT / folder).rglob("*.py")
        for line in file.read_text().splitlines()
        if re.search(r"""["']next: """, line)
    ]
    assert len(printed) >= 4
    for line in printed:
        assert "{command(" in line, line
