"""What TFDS data sets hold: dtypes, channels, features, damage."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from yoto_tf.data import load_images
from yoto_tf.data import tfds_pixels
from yoto_tf.data.tfds_images import TfdsImages
from yoto_tf.data.tfds_images import is_prepared
from yoto_tf.errors import InputError
from yoto_tf.image_config import DataConfig

NUM = 30
features = tfds.features


class OfOneFeature(tfds.core.GeneratorBasedBuilder):
    """Holds `images` as what `feature` makes of them."""

    VERSION = tfds.core.Version("1.0.0")
    feature = None
    images = None

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=features.FeaturesDict({"image": self.feature}),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, image in enumerate(self.images):
            yield i, {"image": image}


def random_images(channels, dtype, size=32):
    rng = np.random.default_rng(0)
    shape = (NUM, size, size, channels)
    if np.dtype(dtype).kind == "f":
        # A third beside a shade, so that no rounding decides.
        shades = rng.integers(0, 256, shape)
        return np.clip((shades + 1 / 3) / 255, 0, 1).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads images by way of a TFDS data set; returns all, in order."""

    def loaded(feature, images):
        monkeypatch.setattr(OfOneFeature, "feature", feature)
        monkeypatch.setattr(OfOneFeature, "images", images)
        source = TfdsImages("of_one_feature", str(tmp_path))
        assert source.version == "of_one_feature/1.0.0"
        wanted = {"train": np.arange(len(images))}
        return source.load(wanted, 32)["train"]

    return loaded


def in_any_order(images):
    """TFDS stores examples in an order of its own."""
    return sorted(i.tobytes() for i in images)


def on_white(images):
    color, alpha = images[..., :-1].astype(float), images[..., -1:] / 255
    return np.round(color * alpha + 255 * (1 - alpha)).astype(np.uint8)


def scaled(images):
    return np.round(images.astype(float) * 255).astype(np.uint8)


def by_257(images):
    return np.round(images / 257).astype(np.uint8)


def as_they_are(images):
    return images


@pytest.mark.parametrize(
    ("kind", "channels", "dtype", "expected"),
    [
        (features.Image, 1, np.uint8, as_they_are),
        (features.Image, 3, np.uint8, as_they_are),
        (features.Image, 1, np.float32, scaled),
        (features.Image, 3, np.uint16, by_257),
        (features.Image, 4, np.uint8, on_white),
        (features.Tensor, 3, np.uint8, as_they_are),
        (features.Tensor, 3, np.uint16, by_257),
        (features.Tensor, 1, np.float64, scaled),
        (features.Tensor, 3, np.float32, scaled),
    ],
)
def test_pixels_of_every_dtype_become_the_same_shades(
    kind, channels, dtype, expected, load
):
    images = random_images(channels, dtype)
    received = load(kind(shape=(32, 32, channels), dtype=dtype), images)
    assert received.dtype == np.uint8
    assert received.std() > 40
    assert in_any_order(received) == in_any_order(expected(images))


def test_images_of_zeros_and_ones_are_black_and_white(load):
    """As TFDS stores `binarized_mnist`."""
    images = (random_images(1, np.uint8) > 99).astype(np.uint8)
    received = load(features.Image(shape=(32, 32, 1)), images)
    assert in_any_order(received) == in_any_order(images * 255)


@pytest.mark.parametrize(
    ("dtype", "highest", "seen"),
    [
        (np.uint16, 4095, 16),
        (np.uint8, 2, 2),
        (np.uint8, 63, 63),
        (np.uint8, 0, 0),
        (np.float32, 0.2, 51),
        # All but black, too: not the ones of black and white.
        (np.uint16, 255, 1),
        (np.float32, 0.005, 1),
        # Zeros and ones are black and white.
        (np.uint8, 1, 255),
        (np.uint8, 64, 64),
        (np.uint16, 64 * 257, 64),
    ],
)
def test_dark_images_are_noted(dtype, highest, seen, load, tmp_path):
    images = np.zeros((NUM, 32, 32, 1), dtype)
    images[:, ::2] = highest
    received = load(features.Tensor(shape=(32, 32, 1), dtype=dtype), images)
    assert np.unique(received).tolist() == sorted({0, seen})
    splits = load_images(
        DataConfig(name="of_one_feature", data_dir=str(tmp_path))
    )
    noted = [n.split(":")[0] for n in splits.notes]
    expected = f"the brightest pixel of the training images is {seen} of 255"
    assert noted == ([expected] if seen < 64 else [])
    only = load_images(
        DataConfig(name="of_one_feature", data_dir=str(tmp_path)), ("test",)
    )
    assert not only.notes


def test_images_whose_size_is_not_told_are_sized_by_the_first(load, tmp_path):
    images = random_images(1, np.float32, size=70)
    feature = features.Image(shape=(None, None, 1), dtype=np.float32)
    assert load(feature, images).std() > 20
    config = DataConfig(name="of_one_feature", data_dir=str(tmp_path))
    assert load_images(config).example_shape == (64, 64, 1)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 255.0), (-1.0, 1.0), (0.0, np.nan), (0.0, 1.001)]
)
def test_floats_of_another_range_are_refused(low, high, load):
    images = random_images(1, np.float32)
    images[3, 5, 5], images[3, 6, 6] = low, high
    with pytest.raises(
        InputError, match=r"floats? .*\[0, 1\].*of_one_feature.*image \d+"
    ):
        load(features.Image(shape=(32, 32, 1), dtype=np.float32), images)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (features.Tensor(shape=(32, 32, 3), dtype=np.int64), "int64 and 3"),
        (features.Tensor(shape=(32, 32, 3), dtype=np.bool_), "bool and 3"),
        (features.Tensor(shape=(32, 32, 4), dtype=np.uint8), "uint8 and 4"),
        (features.Tensor(shape=(3, 32, 32), dtype=np.uint8), "uint8 and 32"),
        (features.Image(shape=(None, None, None)), "uint8 and None"),
        (features.Image(shape=(32, 32, 2)), "uint8 and 2"),
        (features.Tensor(shape=(32, 32), dtype=np.uint8), r"\(32, 32\)"),
        (
            features.LabeledImage(shape=(32, 32, 1), labels=3),
            "numbers of classes",
        ),
        (features.Video(shape=(5, 32, 32, 3)), "'image' is Video"),
        (features.Sequence(features.Image()), "'image' is Sequence"),
        (features.FeaturesDict({"left": features.Image()}), "FeaturesDict"),
        (features.Text(), "'image' is Text"),
        (features.BBoxFeature(), r"BBoxFeature of shape \(4,\)"),
    ],
)
def test_features_that_are_no_still_image_are_refused(feature, message):
    with pytest.raises(InputError, match=f"'some_set'.* {message}"):
        tfds_pixels.check_feature(feature, "some_set")


class Texts(tfds.core.GeneratorBasedBuilder):
    """Has no images; how its features are told is up to `features_of`."""

    VERSION = tfds.core.Version("1.0.0")
    features_of = staticmethod(lambda: None)

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=self.features_of())

    def _split_generators(self, dl_manager):
        raise AssertionError("downloaded before it was refused")

    _generate_examples = None


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (features.FeaturesDict({"text": features.Text()}), r"\['text'\]"),
        (features.Sequence(features.Image()), r"with \[\]"),
        (
            features.Sequence({"image": features.Image()}),
            r"with \[\]",
        ),
        (features.FeaturesDict({"image": features.Text()}), "is Text"),
        (features.FeaturesDict({"image": features.Video()}), "is Video"),
        (None, r"with \[\]"),
        (ImportError("no module x"), "TFDS data set, .*no module x"),
    ],
    ids=str,
)
def test_what_holds_no_images_is_refused_before_it_is_downloaded(
    told, message, tmp_path, monkeypatch
):
    def features_of():
        if isinstance(told, Exception):
            raise told
        return told

    monkeypatch.setattr(Texts, "features_of", staticmethod(features_of))
    with pytest.raises(InputError, match=message):
        TfdsImages("texts", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


# Damage.


@pytest.fixture
def prepared(load, tmp_path):
    """The folder of a prepared data set, and how to load it."""
    load(features.Image(shape=(32, 32, 1)), random_images(1, np.uint8))
    config = DataConfig(name="of_one_feature", data_dir=str(tmp_path))
    return tmp_path / "of_one_feature/1.0.0", config


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty"])
def test_damaged_files_are_one_sentence_with_the_mend(damage, prepared):
    folder, config = prepared
    (shard,) = folder.glob("*.tfrecord*")
    content = shard.read_bytes()
    if damage == "missing":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        shard.write_bytes(content[:2000] + b"????" + content[2004:])
    else:
        shard.write_bytes(b"")
    with pytest.raises(InputError) as refused:
        load_images(config)
    assert f"remove {folder} to have it prepared again" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_preparation_that_was_cut_off_is_begun_again(prepared):
    folder, config = prepared
    expected = load_images(config)
    # As TFDS leaves it when it is killed.
    folder.rename(folder.with_name("incomplete.ABC123_1.0.0"))
    (folder.with_name("incomplete.ABC123_1.0.0") / "dataset_info.json").unlink()
    np.testing.assert_array_equal(load_images(config).train, expected.train)


def test_what_is_prepared_is_told_and_a_wrong_name_is_not(prepared):
    _, config = prepared
    assert is_prepared(config.name, config.data_dir)
    assert not is_prepared(f"{config.name}:2.0.0", config.data_dir)
    assert not is_prepared("cifar10/nonsense", config.data_dir)
    assert not is_prepared(":", config.data_dir)


def test_a_prepared_data_set_is_only_read(prepared):
    folder, config = prepared
    before = {p: p.stat().st_mtime_ns for p in folder.parents[1].rglob("*")}
    load_images(config)
    after = {p: p.stat().st_mtime_ns for p in folder.parents[1].rglob("*")}
    assert after == before


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(OfOneFeature, "feature", features.Image())
    (tmp_path / "file").write_text("not a folder")
    config = DataConfig(
        name="of_one_feature", data_dir=str(tmp_path / "file/tfds")
    )
    with pytest.raises(InputError, match=r"prepared in .*NotADirectoryError"):
        load_images(config)


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("Manual directory x does not exist.\nCreate it"),
        ImportError("Failed importing apache_beam."),
        OSError(28, "No space left on device"),
        tf.errors.PermissionDeniedError(None, None, "x; Read-only file system"),
        KeyError("whatever a data set's own code does"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_keeps_a_data_set_from_being_prepared_is_one_sentence(
    error, tmp_path, monkeypatch
):
    def fail(self, **kwargs):
        raise error

    monkeypatch.setattr(OfOneFeature, "download_and_prepare", fail)
    monkeypatch.setattr(OfOneFeature, "feature", features.Image())
    config = DataConfig(name="of_one_feature", data_dir=str(tmp_path))
    with pytest.raises(InputError, match="one_feature prepared in") as refused:
        load_images(config)
    assert type(error).__name__ in str(refused.value)
    assert "\n" not in str(refused.value)
