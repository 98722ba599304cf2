"""The benchmark runs and its figures belong together; no time is asserted."""

import json

import pytest

from training import benchmark


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
