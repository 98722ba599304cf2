"""Learned compression goes through the scripts."""

import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds
from compression_models import photo
from PIL import Image

from training import evaluate as evaluate_module
from training import train as train_module
from yoto_tf.compression.codec import Codec
from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.families.compression.config import CompressionConfig
from yoto_tf.families.compression.crops import Cells
from yoto_tf.families.compression.crops import cells_of
from yoto_tf.families.compression.crops import load_cells
from yoto_tf.families.compression.crops import training_crops
from yoto_tf.run_directory import RunDirectory
from yoto_tf.strict_config import with_settings

SMALL = {
    "data.crop_size": 64,
    "data.cell_size": 64,
    "data.crops_per_cell": 2,
    "data.validation_pictures": 1,
    "data.test_pictures": 1,
    "model.channels": 4,
    "model.latents": 6,
    "training.batch_size": 4,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of two cells each, and a small one."""
    path = tmp_path_factory.mktemp("pictures")
    for i in range(6):
        Image.fromarray(photo(64, 100, i)).save(path / f"{i}.png")
    Image.fromarray(photo(20, 200)).save(path / "small.png")
    return path


def small(folder, **settings):
    return with_settings(
        get_preset("compression").config,
        {**SMALL, "data.name": str(folder), **settings},
    )


# Crops.


def test_cells_cover_a_picture_evenly():
    picture = photo(70, 150)
    cells = cells_of(picture, 64)
    # 2 rows, of which the second begins at the last that fits; 3 columns.
    for cell, (top, left) in zip(
        cells,
        [(t, c) for t in (0, 6) for c in (0, 43, 86)],
        strict=True,
    ):
        np.testing.assert_array_equal(
            cell, picture[top : top + 64, left : left + 64]
        )
    assert cells_of(photo(63, 200), 64) == []
    assert len(cells_of(photo(64, 64), 64)) == 1


def test_the_pictures_of_a_folder_are_cut_by_their_names(folder):
    config = small(folder).data
    splits = load_cells(config)
    assert splits.num_examples == {"train": 8, "validation": 2, "test": 2}
    assert len(splits.train) == 2 * len(splits.train.x)
    assert "1 pictures with a side below" in splits.notes[0]
    cells = np.concatenate([splits.train.x, splits.validation, splits.test])
    assert len({cell.tobytes() for cell in cells}) == 12
    again = load_cells(dataclasses.replace(config, split_seed=1))
    assert again.test.tobytes() != splits.test.tobytes()
    fewer = load_cells(dataclasses.replace(config, train_pictures=2))
    np.testing.assert_array_equal(fewer.test, splits.test)
    assert len(fewer.train.x) == 4


def test_crops_lie_in_their_cells_and_follow_from_seed_and_epoch():
    cells = Cells(np.stack([photo(128, 128, i) for i in range(3)]), 4)

    def batches(seed=0, epoch=0, num=6):
        found = training_crops(cells, 2, 64, seed, epoch).take(num)
        return [b.numpy() for b in found]

    crops = batches()
    windows = {}
    for i, cell in enumerate(cells.x):
        for turned, side in ((False, cell), (True, cell[:, ::-1])):
            for top, left in np.ndindex(65, 65):
                key = side[top, left : left + 64].tobytes()
                windows[key] = (i, top, left, turned)
    places = [windows[crop[0].tobytes()] for batch in crops for crop in batch]
    for (i, top, left, turned), crop in zip(
        places, np.concatenate(crops), strict=True
    ):
        side = cells.x[i][:, ::-1] if turned else cells.x[i]
        np.testing.assert_array_equal(
            crop, side[top : top + 64, left : left + 64]
        )
    # Each cell four times an epoch, here and there, either way round.
    assert sorted(p[0] for p in places) == [0] * 4 + [1] * 4 + [2] * 4
    assert len({p[1:3] for p in places}) > 10
    assert {p[3] for p in places} == {False, True}
    for wanted, found in zip(crops, batches(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    later = batches(num=12)[6:]
    for wanted, found in zip(later, batches(epoch=1), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert any((a != b).any() for a, b in zip(crops, later, strict=True))
    assert any((a != b).any() for a, b in zip(crops, batches(1), strict=True))


def test_a_copy_of_a_picture_is_on_no_other_side_of_the_cut(folder, tmp_path):
    for file in folder.iterdir():
        picture = Image.open(file)
        picture.save(tmp_path / file.name)
        # The same pixels in other bytes, under a name that falls elsewhere.
        picture.save(tmp_path / f"copy of {file.stem}.bmp")
    settings = {"data.test_pictures": 2, "data.validation_pictures": 2}
    with_copies = load_cells(small(tmp_path, **settings).data)
    without = load_cells(small(folder, **settings).data)
    for part in ("validation", "test"):
        np.testing.assert_array_equal(
            getattr(with_copies, part), getattr(without, part)
        )
    np.testing.assert_array_equal(with_copies.train.x, without.train.x)
    assert with_copies.notes[0].startswith("7 of 14 pictures are copies")


class BlackAndWhite(tfds.core.GeneratorBasedBuilder):
    """Pictures of zeros and ones, as those of `binarized_mnist`."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(64, 64, 1))}
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(5):
            rng = np.random.default_rng(i)
            yield i, {"image": rng.integers(0, 2, (64, 64, 1), np.uint8)}


def test_pictures_of_zeros_and_ones_are_black_and_white(tmp_path):
    given = {"data.data_dir": str(tmp_path), "data.test_pictures": 2}
    loaded = load_cells(small("black_and_white", **given).data)
    cells = np.concatenate([loaded.train.x, loaded.validation, loaded.test])
    wanted = [
        np.random.default_rng(i).integers(0, 2, (64, 64, 1), np.uint8) * 255
        for i in range(5)
    ]
    found = {cell.tobytes() for cell in cells}
    assert found == {np.repeat(w, 3, -1).tobytes() for w in wanted}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data.test_pictures": 7}, "9 pictures or more.*with 6"),
        (
            {"data.cell_size": 128, "data.crop_size": 128},
            "3 pictures or more of 128 pixels a side.*with 0",
        ),
        ({"data.data_dir": "/data"}, "data_dir unset for a folder"),
        ({"data.name": "/no/such/folder"}, "which does not exist"),
    ],
)
def test_data_that_cannot_be_used_are_refused(folder, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        load_cells(small(folder, **settings).data)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data.crop_size": 100}, "crop_size to be a multiple of 64"),
        ({"data.crop_size": 512}, "cell_size to be crop_size or more"),
        ({"data.test_pictures": 0}, "test_pictures"),
        ({"model.channels": 600}, "channels from 1 to 512"),
        ({"model.conditioning.kind": "gate"}, "kind='spline' with the site"),
        (
            {
                "model.conditioning.kind": "concatenation",
                "model.conditioning.sites": ("latent",),
                "model.conditioning.knots": 5,
            },
            "sites other than 'latent'",
        ),
        ({"parameter.name": "weight"}, "parameter.name='lmbda'"),
        ({"parameter.distribution": "uniform"}, "log-uniform or constant"),
        ({"evaluation.lambdas": (0.0,)}, "lambdas above 0"),
        ({"objective.normalization_power": 0.5}, "normalization_power"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        with_settings(CompressionConfig(), settings)


# A run.


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    config = small(folder, **{"training.steps": 8})
    path = tmp_path_factory.mktemp("runs") / "compression"
    train_module.train(config, path, verbose=0, tensorboard=False, log=str)
    return RunDirectory(path)


@pytest.mark.slow
def test_a_run_is_scored_by_the_bits_of_files(run, folder):
    rows = evaluate_module.evaluate(run, log=str)
    assert [r["lmbda"] for r in rows] == pytest.approx(
        [0.0018, 0.0018 * 10**0.5, 0.018, 0.018 * 10**0.5, 0.18]
    )
    codec = Codec.load(run.path)
    crops = family_for(run.read_config()).load(run.read_config()).test
    for row, quality in ((rows[0], 0), (rows[2], 50), (rows[4], 100)):
        files = [codec.compress(crop, quality) for crop in crops]
        # Less the header, and a word that the coder fills up.
        bits = np.array([8 * (len(f) - 36) for f in files]) / 64**2
        assert bits.mean() == pytest.approx(row["rate"], abs=80 / 64**2)
        made = [codec.decompress(f).astype("float64") for f in files]
        errors = [
            np.mean((m - c) ** 2) for m, c in zip(made, crops, strict=True)
        ]
        assert np.mean(errors) == pytest.approx(row["distortion"], rel=0.01)
        psnr = np.mean(10 * np.log10(255**2 / np.array(errors)))
        assert psnr == pytest.approx(row["psnr"], abs=0.05)
        full = row["rate"] + row["lmbda"] * row["distortion"]
        assert row["full_loss"] == pytest.approx(full)


def test_a_separate_model_has_one_lambda_and_is_told_none(folder):
    config = small(folder)
    family = family_for(config)
    fixed = with_settings(config, family.fixed(config, {"lmbda": 0.02}))
    assert family.grid(fixed) == [{"lmbda": 0.02}]
    model = family.model(fixed, None)
    assert model.gains is None
    model(np.zeros((1, 64, 64, 3), "uint8"))
    told = family.model(config, None)
    told(np.zeros((1, 64, 64, 3), "uint8"))
    untold = with_settings(config, family.unconditioned(config))
    assert model.count_params() == family_size(family, untold)
    assert told.count_params() > model.count_params()


def family_size(family, config):
    model = family.model(config, None)
    model(np.zeros((1, 64, 64, 3), "uint8"))
    return model.count_params()
