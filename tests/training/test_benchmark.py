"""The benchmark runs and its figures belong together; no time is asserted."""

import json
import shlex
import sys

import pytest

from training import benchmark
from training import benchmark_processes
from training import benchmark_sweep
from yoto_tf.errors import InputError


@pytest.mark.slow
def test_a_small_benchmark_reports_every_figure(tmp_path, capsys):
    path = tmp_path / "figures.json"
    benchmark.main(
        [
            "--presets",
            "smoke",
            "--rounds",
            "1",
            "--steps",
            "2",
            "--json-file",
            str(path),
        ]
    )
    result = json.loads(path.read_text())["results"][0]
    rates = result["examples_per_second"]
    assert set(rates) == {
        "train step, conditioned",
        "train step, unconditioned",
        "input pipeline, augmentation none",
        "input pipeline, augmentation crop_flip",
        "evaluation",
    }
    assert min(rates.values()) > 0
    assert result["conditioning_cost"] == pytest.approx(
        rates["train step, unconditioned"] / rates["train step, conditioned"]
        - 1
    )
    assert "conditioning costs" in capsys.readouterr().out


def test_an_unknown_preset_is_refused_with_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--presets", "nonsense"])
    assert ended.value.code == 2
    assert "expected a preset among" in capsys.readouterr().err


FAKE = (
    "import sys; print('words'); print('ready', flush=True)\n"
    "for line in sys.stdin: print({} * int(line), flush=True)"
)


def fake(seconds):
    return shlex.join([sys.executable, "-c", FAKE.format(seconds)])


def test_processes_are_compared_with_the_first(tmp_path, capsys):
    path = tmp_path / "figures.json"
    commands = [fake(0.02), fake(0.005)]
    benchmark.main(
        [
            *("--processes", *commands, "--rounds", "3", "--steps", "10"),
            *("--json-file", str(path)),
        ]
    )
    first, second = json.loads(path.read_text())["results"]
    assert first["command"] == commands[0]
    assert first["ms_per_step"] == pytest.approx(20)
    assert second["least_ms_per_step"] == pytest.approx(5)
    assert (first["times_as_fast"], second["times_as_fast"]) == (1, 4)
    assert min(r["peak_memory_mib"] for r in (first, second)) > 1
    assert "| 5.0 | 5.0 | " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-command", "a command that can be started, received: no-such"),
        ("'", "a command that can be started, received: '"),
        ("", "a command that can be started, received: "),
        ("true", "prints 'ready'.*received: true, which ended with code 0"),
        (
            shlex.join(
                [sys.executable, "-c", "print('ready\\nmany'); input()"]
            ),
            "answers a number of steps with seconds, received: 'many' of",
        ),
    ],
)
def test_what_does_not_answer_is_refused(command, said):
    with pytest.raises(InputError, match=said):
        benchmark_processes.compare([command], 2, 1)


def test_a_sweep_shows_every_rate():
    rows = [
        {
            "across": across,
            "value": value,
            "batch_parts": parts,
            "examples_per_second": 100.0 * value * parts,
        }
        for across in ("batch", "width")
        for value in (16, 32)
        for parts in (1, 2)
    ]
    drawing = benchmark_sweep.figure(rows, "smoke")
    assert [axes.get_xlabel() for axes in drawing.axes] == ["batch", "width"]
    lines = drawing.axes[1].get_lines()
    assert [list(line.get_ydata()) for line in lines] == [
        [1600, 3200],
        [3200, 6400],
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sweep", "x.png", "--presets", "default_cost"], "base_channels"),
        (["--sweep", "x.gif"], "ending in .pdf, .png, .svg, received: x.gif"),
        (["--sweep", "x.png", "--presets"], "--presets with one or more"),
        (["--rounds", "0"], "--rounds of 1 or more"),
        (["--steps", "0"], "--steps of 1 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        benchmark.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_step_answers_in_a_process_of_its_own():
    own = [sys.executable, "-m", "training.benchmark_step", "smoke"]
    more = (
        ("--unconditioned", "--image-size", "32"),
        ("--batch-parts", "2", "--steps-per-execution", "2"),
    )
    results = benchmark_processes.compare(
        [shlex.join([*own, *words]) for words in more], 4, 2
    )
    assert all(r["ms_per_step"] > 0 for r in results)
    assert all(r["cpu_ms_per_step"] > 0 for r in results)
