"""The methods of a study of compression, compared by bytes of files."""

import json
import shutil

import compression_models
import numpy as np
import pandas as pd
import pytest
from compression_models import photo
from PIL import Image

from training import bd_rates
from training import codecs
from training.compared_codecs import Comparison
from training.study import __main__ as study
from yoto_tf.compression.codec import Codec
from yoto_tf.compression.quality import lambda_of
from yoto_tf.compression.quality import nearest_quality
from yoto_tf.compression.quality import step_of
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory
from yoto_tf.strict_config import with_settings

LAMBDAS = 0.0018, 0.018, 0.18


@pytest.fixture
def folder(tmp_path):
    """A study's run directories without models: two seeds."""
    config = get_preset("compression_smoke").config
    for seed in (0, 1):
        settings = {"training.seed": seed}
        for value in LAMBDAS:
            fixed = family_for(config).fixed(config, {"lmbda": value})
            _run(
                tmp_path / f"runs/separate/width1-seed{seed}-lmbda{value}",
                with_settings(config, settings | fixed),
            )
        for method in ("gains", "everywhere"):
            _run(
                tmp_path / f"runs/{method}/width1-seed{seed}",
                with_settings(config, settings),
            )
    return tmp_path


def _run(path, config):
    path.mkdir(parents=True)
    content = {"config": config.to_dict()}
    (path / "config.json").write_text(json.dumps(content))
    (path / "model.keras").write_text("")
    (path / "log.csv").write_text("epoch,cpu_seconds\n0,3600\n1,1800\n")


def test_rates_are_means_over_seeds(folder, monkeypatch, capsys):
    # Of the bits that separate models take, method by method and seed.
    share = {
        ("separate", 0): 1.0,
        ("separate", 1): 1.0,
        ("gains", 0): 1.1,
        ("gains", 1): 1.2,
        ("everywhere", 0): 0.9,
        ("everywhere", 1): 0.9,
    }
    asked = {}

    def by_models(paths, pictures, log, lambdas):
        method = paths[0].parent.name
        seed = RunDirectory(paths[0]).read_config().training.seed
        asked[method] = len(paths), tuple(lambdas)
        return [
            Comparison(
                *("ours", picture, i, 1000),
                share[method, seed] * 2 ** (p / 6),
                p,
                1 - 10 ** (-p / 20),
            )
            for picture in pictures
            for i, p in enumerate((28, 32, 36, 40))
        ]

    monkeypatch.setattr(codecs, "by_models", by_models)
    monkeypatch.setattr(codecs, "chosen_pictures", lambda _: {"a": 0, "b": 0})
    bd_rates.main([str(folder)])
    assert asked == {
        "separate": (3, LAMBDAS),
        "gains": (1, LAMBDAS),
        "everywhere": (1, LAMBDAS),
    }
    said = capsys.readouterr().out
    assert "of 2 pictures; mean over 2 seeds" in said
    assert "| separate | 0 | 0 | 3 | 4.50 |" in said
    assert "| gains | +15.0 % ± 7.1 | +15.0 % ± 7.1 | 1 | 1.50 |" in said
    assert "| everywhere | -10.0 % ± 0.0 | -10.0 % ± 0.0 | 1 | 1.50 |" in said
    assert (folder / "bd_rates.md").read_text() in said
    rows = pd.read_csv(folder / "bd_rates.csv")
    assert len(rows) == 2 * 2 * 2 * 2
    found = rows[(rows.method == "gains") & (rows.seed == 1)].percent
    assert found.to_numpy() == pytest.approx(20, abs=0.1)
    files = pd.read_csv(folder / "bd_rates_files.csv")
    assert len(files) == 6 * 2 * 4


def test_a_method_that_is_not_finished_is_left_out(folder):
    runs = bd_rates.found_runs(folder)
    (separate, *_) = runs["separate", 1]
    separate.model_file.unlink()
    said = []
    rest = bd_rates.found_runs(folder, said.append)
    assert set(runs) - set(rest) == {("separate", 1)}
    (sentence,) = said
    assert sentence.startswith("separate, seed 1, is left out: ")
    assert str(separate.path) in sentence


def test_a_seed_that_lacks_a_model_is_left_out(folder):
    shutil.rmtree(folder / "runs/separate/width1-seed1-lmbda0.18")
    said = []
    runs = bd_rates.found_runs(folder, said.append)
    assert ("separate", 1) not in runs
    assert len(runs["separate", 0]) == 3
    assert said == ["separate, seed 1, is left out: no model of 0.18"]


def test_models_of_two_widths_are_no_curve(folder):
    shutil.copytree(
        folder / "runs/separate/width1-seed1-lmbda0.18",
        folder / "runs/separate/width2-seed1-lmbda0.18",
    )
    with pytest.raises(InputError, match="one model per lambda.*seed 1"):
        bd_rates.found_runs(folder)


def test_a_study_that_cannot_be_compared_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="finished runs.*elsewhere"):
        bd_rates.found_runs(tmp_path / "elsewhere")
    runs = bd_rates.found_runs(folder)
    with pytest.raises(InputError, match="'fixed'.*'everywhere', 'gains'"):
        bd_rates.compare(runs, "fixed", {})


def test_a_model_of_all_lambdas_writes_at_those_of_the_separate_ones(
    monkeypatch,
):
    codec = compression_models.tiny_codec()
    monkeypatch.setattr(Codec, "load", lambda path: codec)
    pixels = photo(176, 176)
    rows = codecs.by_models(["run"], {"a": pixels}, str, (0.0018, 0.018))
    low, high = codec.model.lambda_ends
    for row, value in zip(rows, (0.0018, 0.018), strict=True):
        found = lambda_of(step_of(row.setting), low, high)
        assert found == pytest.approx(value, rel=2e-4)
        assert row.bytes == len(codec.compress(pixels, row.setting))
    assert nearest_quality(1e-9, low, high) == 0
    assert nearest_quality(1e9, low, high) == 100


@pytest.mark.slow
def test_the_smallest_study_ends_in_a_table(tmp_path, capsys):
    study.main(
        [
            *("compression_small", "--preset", "compression_smoke"),
            *("--jobs", "2", "--to", str(tmp_path)),
            *("--runs", str(tmp_path / "runs"), "--set", "seeds=[0]"),
            *("grid.lmbda=[0.0018, 0.18]", "training.steps=20"),
            'training.epochs="unset"',
        ]
    )
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    pixels = photo(192, 192)
    Image.fromarray(pixels).save(pictures / "a.png")
    capsys.readouterr()
    bd_rates.main([str(tmp_path), "--pictures", str(pictures)])
    said = capsys.readouterr().out
    assert "| separate | 0 | 0 | 2 |" in said
    assert "| everywhere | " in said
    files = pd.read_csv(tmp_path / "bd_rates_files.csv")
    told = [
        m + form for m in ("everywhere", "gains") for form in ("", "_first")
    ]
    assert files.groupby("codec").size().to_dict() == {
        **dict.fromkeys(told, 2),
        "separate": 2,
    }
    run = tmp_path / "runs/everywhere/width1-seed0"
    data = Codec.load(run).compress(pixels, 100)
    ours = files[(files.codec == "everywhere")]
    assert ours.bytes.to_numpy()[1] == len(data)
    assert np.isfinite(files.psnr).all()
