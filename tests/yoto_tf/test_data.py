"""Images from TFDS and folders, their splits, and the pipeline."""

import pathlib

import numpy as np
import pytest
import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from yoto_tf.data import evaluation_batches
from yoto_tf.data import load_images
from yoto_tf.data import on_gpu
from yoto_tf.data import preprocessing
from yoto_tf.data import training_batches
from yoto_tf.data.tfds_images import TfdsImages
from yoto_tf.errors import InputError
from yoto_tf.image_config import DataConfig

NUMBERED = 50


class NumberedPictures(tfds.core.GeneratorBasedBuilder):
    """Picture number i is filled with i; there is no test split, as in
    Shapes3D."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(32, 32, 1))}
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(NUMBERED):
            yield i, {"image": np.full((32, 32, 1), i, np.uint8)}


class LabelsAlone(NumberedPictures):
    """A data set without pictures."""

    def _info(self):
        features = tfds.features.FeaturesDict({"label": np.int64})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _generate_examples(self):
        yield 0, {"label": 0}


@pytest.fixture(scope="module")
def numbered_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("numbered"))


def numbers_of(images):
    """Which picture each image is."""
    numbers = images[:, 0, 0, 0]
    assert (images == numbers[:, None, None, None]).all()
    return numbers.tolist()


# The pipeline.


def numbered_images(num=12, size=2):
    return np.broadcast_to(
        np.arange(num, dtype=np.uint8)[:, None, None, None],
        (num, size, size, 1),
    ).copy()


def epochs_of(dataset, steps, num):
    """Lists of picture numbers, one per epoch."""
    batches = [b for b in dataset.take(num * steps).as_numpy_iterator()]
    return [
        [n for b in batches[e * steps : (e + 1) * steps] for n in numbers_of(b)]
        for e in range(num)
    ]


def test_an_epoch_has_every_image_once_in_an_order_of_its_own():
    dataset, steps = training_batches(numbered_images(), 3)
    assert steps == 4
    assert dataset.element_spec.shape == (3, 2, 2, 1)
    assert dataset.element_spec.dtype == tf.uint8
    epochs = epochs_of(dataset, steps, 4)
    assert all(sorted(e) == list(range(12)) for e in epochs)
    assert len({tuple(e) for e in [*epochs, range(12)]}) == 5


def test_what_fills_no_batch_is_left_out_of_the_epoch_alone():
    dataset, steps = training_batches(numbered_images(), 5)
    assert steps == 2
    epochs = epochs_of(dataset, steps, 20)
    assert all(len(set(e)) == 10 for e in epochs)
    assert {n for e in epochs for n in e} == set(range(12))


def test_batches_lie_on_the_gpu_where_there_is_one(monkeypatch):
    dataset, _ = training_batches(numbered_images(), 3)
    expected = [b.numpy() for b in dataset.take(5)]
    if not tf.config.list_logical_devices("GPU"):
        assert on_gpu(dataset, 2) is dataset
    # The processor in place of one.
    here = tf.config.list_logical_devices("CPU")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: here)
    assert on_gpu(dataset, 0) is dataset
    copied = on_gpu(dataset, 2)
    assert copied is not dataset
    for one, batch in zip(expected, copied, strict=False):
        np.testing.assert_array_equal(batch, one)
        assert batch.device.endswith("CPU:0")


@pytest.mark.parametrize("augmentation", ["none", "crop_flip"])
def test_the_seed_and_the_epoch_decide_everything(augmentation):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)

    def batches(seed, first_epoch, epochs):
        dataset, steps = training_batches(
            images, 2, seed, first_epoch, augmentation
        )
        return np.stack(list(dataset.take(epochs * steps).as_numpy_iterator()))

    whole = batches(seed=1, first_epoch=0, epochs=4)
    np.testing.assert_array_equal(batches(1, 0, 4), whole)
    # Continued after two epochs.
    np.testing.assert_array_equal(batches(1, 2, 2), whole[6:])
    assert (batches(2, 0, 4) != whole).any()


def test_crops_are_windows_of_the_enlarged_image_or_mirrored_ones():
    rng = np.random.default_rng(0)
    # Smooth pictures, so that enlarging them changes little.
    corners = tf.constant(rng.integers(0, 256, (4, 3, 3, 3)), tf.float32)
    images = tf.image.resize(corners, (8, 8)).numpy().astype(np.uint8)
    larger = preprocessing.enlarge_for_crops(images).numpy()
    assert larger.shape == (4, 10, 10, 3)
    windows = {}
    for i in range(4):
        for top in range(3):
            for left in range(3):
                window = larger[i, top : top + 8, left : left + 8]
                windows[window.tobytes()] = (i, top, left, False)
                mirrored = window[:, ::-1].tobytes()
                windows[mirrored] = (i, top, left, True)
    dataset, steps = training_batches(images, 4, augmentation="crop_flip")
    seen = [
        windows[crop.tobytes()]
        for batch in dataset.take(60 * steps).as_numpy_iterator()
        for crop in batch
    ]
    # All of 4 images, 3 x 3 windows, mirrored or not, turn up.
    assert len(seen) == 240
    assert len(set(seen)) > 0.9 * 4 * 9 * 2
    assert 0.35 < np.mean([mirrored for *_, mirrored in seen]) < 0.65


@pytest.mark.parametrize("batches", [training_batches, evaluation_batches])
@pytest.mark.parametrize(
    "images",
    [
        numbered_images().astype("float32") / 255,
        numbered_images().astype("float32"),
        numbered_images().astype("int64"),
        numbered_images()[0],
        numbered_images() > 3,
    ],
)
def test_nothing_but_uint8_images_enters_the_pipeline(images, batches):
    with pytest.raises(InputError, match="expected uint8 images"):
        batches(images, 3)


@pytest.mark.parametrize("batch_size", [0, -1, 13])
def test_batches_that_cannot_be_filled_are_refused(batch_size):
    with pytest.raises(InputError, match="between 1 and the 12 training"):
        training_batches(numbered_images(), batch_size)


def test_evaluation_has_all_images_in_order():
    batches = evaluation_batches(numbered_images(), 5).as_numpy_iterator()
    assert [numbers_of(b) for b in batches] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11],
    ]


# Squares and sizes.


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(32, 32, 32), (63, 500, 32), (64, 64, 64), (500, 130, 128), (9, 9, 32)],
)
def test_fitting_size_rounds_the_shorter_side_down(height, width, expected):
    assert preprocessing.fitting_size(height, width) == expected


def test_to_square_averages_the_middle_square():
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    middle = image[:, 8:72].astype(float)
    expected = middle.reshape(32, 2, 32, 2, 3).mean((1, 3))
    square = preprocessing.to_square(tf.constant(image), 32)
    assert square.dtype == tf.uint8
    assert np.abs(square.numpy() - expected).max() <= 0.5
    same = tf.constant(image[:, :64])
    assert preprocessing.to_square(same, 64) is same


# A folder of pictures.


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of many kinds, of one shade each."""
    folder = tmp_path / "pictures"
    for i in range(8):
        save(folder / f"{i:02}.png", np.full((40, 36, 3), 10 * i))
    save(folder / "08.jpg", np.full((64, 64, 3), 80), quality=100)
    save(folder / "more/09.PNG", np.full((33, 50), 90))
    save(folder / "more/still/10.jpeg", np.full((40, 40), 100), quality=100)
    alpha = np.full((40, 40, 4), 110)
    alpha[..., 3] = 255
    save(folder / "more/11.png", alpha)
    (folder / "notes.txt").write_text("not a picture")
    return folder


def folder_config(folder, **fields):
    return DataConfig(
        **{
            "name": str(folder),
            "validation_examples": 2,
            "test_examples": 3,
            **fields,
        }
    )


def test_pictures_of_all_kinds_and_depths_are_found_and_split(folder):
    splits = load_images(folder_config(folder))
    assert splits.example_shape == (32, 32, 3)
    sizes = [len(splits.train), len(splits.validation), len(splits.test)]
    assert sizes[2] == 3
    assert sum(sizes) == 12
    assert splits.num_examples == dict(
        zip(("train", "validation", "test"), sizes, strict=True)
    )
    everything = np.concatenate([splits.train, splits.validation, splits.test])
    assert everything.dtype == np.uint8
    # JPEG may change a shade by one.
    shades = sorted(everything.mean((1, 2, 3)))
    np.testing.assert_allclose(shades, np.arange(12) * 10, atol=1)
    assert everything.std((1, 2, 3)).max() < 1


def test_the_split_seed_decides_the_split(folder):
    first = load_images(folder_config(folder))
    same = load_images(folder_config(folder))
    other = load_images(folder_config(folder, split_seed=1))
    np.testing.assert_array_equal(first.test, same.test)
    np.testing.assert_array_equal(first.train, same.train)
    assert (first.test != other.test).any()


def test_the_middle_square_of_a_picture_is_averaged(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3))
    for name, picture in zip("abc", pictures, strict=True):
        save(tmp_path / f"{name}.png", picture)
    splits = load_images(
        folder_config(
            tmp_path, image_size=32, validation_examples=0, test_examples=2
        )
    )
    expected = pictures[:, :, 16:80].reshape(3, 32, 2, 32, 2, 3).mean((2, 4))
    # Pillow rounds twice, after the columns and after the rows, halves up.
    for image in [*splits.train, *splits.test]:
        assert np.abs(image - expected).max((1, 2, 3)).min() <= 1


def test_small_pictures_are_enlarged_if_that_is_asked_for(folder):
    splits = load_images(folder_config(folder, image_size=64))
    assert splits.test.shape == (3, 64, 64, 3)


@pytest.mark.parametrize("image_size", [None, 32])
@pytest.mark.parametrize("content", ["cut", "text", "empty"])
def test_a_broken_picture_is_named(content, image_size, folder):
    whole = (folder / "08.jpg").read_bytes()
    broken = {"cut": whole[: len(whole) // 2], "text": b"hello", "empty": b""}
    (folder / "broken.jpg").write_bytes(broken[content])
    with pytest.raises(InputError, match=r"decoded, received: .*broken\.jpg"):
        load_images(folder_config(folder, image_size=image_size))


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"pictures \(.bmp, .*with none"):
        load_images(folder_config(tmp_path))
    missing = tmp_path / "missing"
    with pytest.raises(InputError, match="missing', which does not exist"):
        load_images(folder_config(missing))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"test_examples": 12}, r"13 images \(12 to test .*: 12$"),
        ({"test_examples": 13}, r"14 images \(13 to test .*: 12$"),
        ({"test_examples": 1}, "test_examples of 2 or more"),
    ],
)
def test_cuts_that_leave_nothing_to_train_on_are_refused(
    fields, message, folder
):
    with pytest.raises(InputError, match=message):
        load_images(folder_config(folder, **fields))


# TFDS.


def test_a_single_split_is_cut_over_all_of_it(numbered_dir):
    config = DataConfig(
        name="numbered_pictures",
        data_dir=numbered_dir,
        validation_examples=5,
        test_examples=10,
    )
    splits = load_images(config)
    assert splits.example_shape == (32, 32, 1)
    parts = [
        numbers_of(i) for i in (splits.train, splits.validation, splits.test)
    ]
    # Five were asked for; a tenth of the 40 is the most.
    assert [len(p) for p in parts] == [36, 4, 10]
    assert sorted(sum(parts, [])) == list(range(NUMBERED))
    # The seed's test set was the first ones of the training set.
    assert max(parts[2]) > 30
    again = load_images(config, parts=("test",))
    assert numbers_of(again.test) == parts[2]
    assert len(again.train) == len(again.validation) == 0
    fewer = load_images(DataConfig(**{**config.to_dict(), "train_examples": 7}))
    assert numbers_of(fewer.train) == parts[0][:7]
    assert numbers_of(fewer.test) == parts[2]


def test_a_test_split_is_kept_and_apart_from_training(data_dir):
    config = DataConfig(
        name="rendered_shapes3d/tiny",
        data_dir=str(data_dir),
        validation_examples=12,
    )
    splits = load_images(config)
    assert splits.train.shape == (500, 64, 64, 3)
    assert splits.validation.shape == (12, 64, 64, 3)
    stored = tfds.as_numpy(
        tfds.load("rendered_shapes3d/tiny", split="test", data_dir=data_dir)
    )
    # TFDS may interleave its files, so as a set.
    assert {i.tobytes() for i in splits.test} == {
        e["image"].tobytes() for e in stored
    }
    train = {i.tobytes() for i in [*splits.train, *splits.validation]}
    assert len(train) == 512
    assert not train & {i.tobytes() for i in splits.test}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_data_set", "TFDS data set or an existing folder.*no_such"),
        ("rendered_shapes3d/huge", "TFDS data set.*rendered_shapes3d/huge"),
        ("cifar10:1.0.0", "TFDS data set.*cifar10:1.0.0.*version"),
        ("cifar10:9.*.*", "TFDS data set.*cifar10:9"),
        ("cifar10:three", "TFDS data set.*cifar10:three"),
        ("cifar10/nonsense", "TFDS data set.*cifar10/nonsense"),
        ("cifar10/", "TFDS data set.*cifar10/"),
        ("cifar10:", "TFDS data set.*cifar10:"),
        ("cifar10/speed=3", "TFDS data set.*cifar10/speed=3"),
        ("no_such_space:cifar10", "TFDS data set.*no_such_space"),
        (":", "TFDS data set.*':'"),
        (" ", "TFDS data set.*' '"),
        ("a" * 5000, "TFDS data set"),
        ("./a\0b", "a folder"),
        ("~no_such_user/pictures", "which does not exist"),
        ("", "name to be a TFDS data set or a folder"),
    ],
)
def test_unknown_names_are_refused(name, message, tmp_path):
    # A folder takes none.
    place = None if name.startswith(("~", ".")) else str(tmp_path)
    with pytest.raises(InputError, match=message) as refused:
        load_images(DataConfig(name=name, data_dir=place))
    assert "\n" not in str(refused.value)


def test_data_sets_without_pictures_are_refused(tmp_path):
    config = DataConfig(name="labels_alone", data_dir=str(tmp_path))
    with pytest.raises(InputError, match=r"'image' feature.*\['label'\]"):
        load_images(config)


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("Name or service not known"),
        tfds.download.DownloadError("HTTP code: 404"),
    ],
    ids=["no_network", "not_found"],
)
def test_a_download_that_fails_is_one_sentence(error, tmp_path, monkeypatch):
    def fail(self, **kwargs):
        raise error

    builder = tfds.builder_cls("cifar10")
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with pytest.raises(InputError, match="or a network to download") as refused:
        load_images(DataConfig(name="cifar10", data_dir=str(tmp_path)))
    assert str(error) in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_real_cifar10_is_whole_and_in_a_fixed_order(cifar10_dir):
    source = TfdsImages("cifar10", cifar10_dir)
    assert source.splits == {"train": 50_000, "test": 10_000}
    assert source.native_size() == 32
    config = DataConfig(name="cifar10", data_dir=cifar10_dir)
    test = load_images(config, parts=("test",)).test
    assert test.shape == (10_000, 32, 32, 3)
    # The means of the test images by channel, as widely published; copies
    # stored as JPEG are up to 0.006 off.
    np.testing.assert_allclose(
        test.mean((0, 1, 2)) / 255, [0.4942, 0.4851, 0.4504], atol=0.01
    )
    first = source.load({"test": np.arange(3)}, 32)["test"]
    np.testing.assert_array_equal(first, test[:3])


def test_the_repository_names_no_place_of_its_data():
    assert DataConfig().data_dir is None
    assert not pathlib.Path(DataConfig().name).is_absolute()


def test_pictures_are_turned_flattened_and_scaled_as_they_are_seen(tmp_path):
    from PIL import Image

    from yoto_tf.data.folder import FolderImages

    grey = np.full((32, 32), 32768, np.uint16)
    Image.fromarray(grey).save(tmp_path / "a_16_bit.png")
    clear = np.zeros((32, 32, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "b_transparent.png")
    half = np.zeros((32, 32, 3), np.uint8)
    half[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(half).save(tmp_path / "c_turned.png", exif=exif)
    images = FolderImages(str(tmp_path)).load({"train": range(3)}, 32)["train"]
    assert (images[0] == 128).all()
    assert (images[1] == 255).all()
    assert (images[2][:16] == 0).all()
    assert (images[2][16:] == 255).all()


def test_a_folder_called_like_a_data_set_is_not_taken_for_it(
    tmp_path, monkeypatch
):
    from yoto_tf.data.splits import is_folder

    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "holiday").mkdir()
    assert not is_folder("cifar10")
    assert is_folder("./cifar10")
    assert is_folder("holiday")
