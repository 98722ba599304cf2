"""The TFDS data set `rendered_shapes3d`, prepared small into a folder."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from yoto_tf.data import rendered_shapes3d
from yoto_tf.data import shapes3d_renderer
from yoto_tf.data import shapes3d_world


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def splits(data_dir):
    """Both splits of the tiny config: dicts of stacked arrays."""
    loaded = {}
    for split in ("train", "test"):
        examples = list(
            tfds.as_numpy(
                tfds.load(
                    "rendered_shapes3d/tiny", data_dir=data_dir, split=split
                )
            )
        )
        loaded[split] = {
            key: np.stack([example[key] for example in examples])
            for key in examples[0]
        }
    return loaded


def labels_of(split):
    return np.stack(
        [split[f"label_{name}"] for name in shapes3d_world.FACTOR_NAMES],
        axis=1,
    )


def test_counts_shapes_and_types(splits):
    for name, count in (("train", 512), ("test", 128)):
        assert splits[name]["image"].shape == (count, 64, 64, 3)
        assert splits[name]["image"].dtype == np.uint8
        assert splits[name]["label_shape"].dtype == np.int64
        assert splits[name]["value_scale"].dtype == np.float32
        assert len(splits[name]) == 13


def test_features_are_those_of_shapes3d(data_dir):
    ours = tfds.builder("rendered_shapes3d", data_dir=data_dir)
    assert ours.builder_config.name == "subset"
    real = tfds.builder("shapes3d", data_dir=data_dir)
    assert set(ours.info.features) == set(real.info.features)
    for key, feature in real.info.features.items():
        assert ours.info.features[key].shape == feature.shape
        assert ours.info.features[key].np_dtype == feature.np_dtype
        if key.startswith("label_"):
            classes = ours.info.features[key].num_classes
            assert classes == feature.num_classes


def test_labels_reproduce_the_images(splits):
    for split in splits.values():
        np.testing.assert_array_equal(
            shapes3d_renderer.render(labels_of(split)), split["image"]
        )


def test_values_are_those_of_the_labels(splits):
    split = splits["train"]
    np.testing.assert_allclose(
        split["value_floor_hue"], split["label_floor_hue"] / 10, rtol=1e-6
    )
    np.testing.assert_allclose(
        split["value_scale"], 0.75 + split["label_scale"] / 14, rtol=1e-6
    )
    np.testing.assert_array_equal(split["value_shape"], split["label_shape"])
    np.testing.assert_allclose(
        split["value_orientation"],
        -30 + split["label_orientation"] * 30 / 7,
        rtol=1e-5,
        atol=1e-5,
    )


def test_prepared_splits_are_disjoint_and_without_repetition(splits):
    train, test = (
        shapes3d_world.factors_to_index(labels_of(splits[name]))
        for name in ("train", "test")
    )
    assert len(np.unique(train)) == 512
    assert len(np.unique(test)) == 128
    assert np.intersect1d(train, test).size == 0


@pytest.mark.parametrize(
    ("config", "train_size", "test_size"),
    [
        ("subset", 20_000, 2_000),
        ("subset_10k_test", 20_000, 10_000),
        ("tiny", 512, 128),
        ("full", 470_000, 10_000),
    ],
)
def test_split_sizes(config, train_size, test_size):
    config = rendered_shapes3d.RenderedShapes3d.builder_configs[config]
    indices = rendered_shapes3d.split_indices(config)
    assert len(indices["train"]) == train_size
    assert len(indices["test"]) == test_size
    both = np.concatenate([indices["train"], indices["test"]])
    assert len(np.unique(both)) == train_size + test_size
    assert both.min() >= 0
    assert both.max() < 480_000


def test_no_config_trains_on_a_test_picture_of_another():
    configs = rendered_shapes3d.RenderedShapes3d.BUILDER_CONFIGS
    indices = [rendered_shapes3d.split_indices(config) for config in configs]
    tests = np.concatenate([each["test"] for each in indices])
    for each in indices:
        assert np.intersect1d(each["train"], tests).size == 0


def test_more_test_pictures_change_nothing_that_is_trained_on():
    configs = rendered_shapes3d.RenderedShapes3d.builder_configs
    few, many = (
        rendered_shapes3d.split_indices(configs[name])
        for name in ("subset", "subset_10k_test")
    )
    np.testing.assert_array_equal(many["train"], few["train"])
    np.testing.assert_array_equal(many["test"][:2_000], few["test"])


def test_preparing_again_gives_the_same_order(splits, tmp_path):
    builder = tfds.builder("rendered_shapes3d/tiny", data_dir=tmp_path)
    builder.download_and_prepare()
    again = [
        example["image"]
        for example in tfds.as_numpy(builder.as_dataset(split="test"))
    ]
    np.testing.assert_array_equal(np.stack(again), splits["test"]["image"])
