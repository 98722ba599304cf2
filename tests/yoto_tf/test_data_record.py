"""What a run keeps of its data, and what it notices of other data."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from yoto_tf.data import Splits
from yoto_tf.data_record import DataRecord
from yoto_tf.data_record import fingerprint
from yoto_tf.errors import InputError
from yoto_tf.examples import digests


def some_images(num, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (num, 4, 4, 3), np.uint8)


def splits(train, validation, test, **fields):
    given = {
        "version": "a_set/1.0.0",
        "own_test": True,
        "num_examples": {
            "train": len(train),
            "validation": len(validation),
            "test": len(test),
        },
        **fields,
    }
    return Splits(train, validation, test, noun="images", **given)


@pytest.fixture
def images():
    every = some_images(12)
    return splits(every[:7], every[7:9], every[9:])


@pytest.fixture
def record(images, tmp_path):
    record = DataRecord(tmp_path)
    record.write(images)
    return record


def test_a_digest_is_that_of_the_pixels_alone():
    images = some_images(3)
    expected = [
        int(hashlib.sha256(i.tobytes()).hexdigest()[:16], 16) for i in images
    ]
    assert digests(images).tolist() == expected
    # However they lie in memory.
    turned = np.asfortranarray(images)
    assert digests(turned).tolist() == expected
    assert digests(images[::-1]).tolist() == expected[::-1]
    assert len(digests(images[:0])) == 0
    assert fingerprint(images) != fingerprint(images[::-1])
    assert fingerprint(images) == fingerprint(digests(images))


def test_the_record_says_which_images_and_how_many(record, images):
    assert json.loads(record.facts_file.read_text()) == {
        "version": "a_set/1.0.0",
        "own_test_split": True,
        "example_shape": [4, 4, 3],
        "num_examples": {"train": 7, "validation": 2, "test": 3},
        "fingerprint": fingerprint(
            np.concatenate([images.train, images.validation])
        ),
    }
    record.require_same(images)
    seen = np.concatenate([images.test, images.validation, images.train])
    assert record.seen(seen).tolist() == [False] * 3 + [True] * 9


def swapped(images):
    train = images.train.copy()
    train[[0, 1]] = train[[1, 0]]
    return dataclasses.replace(images, train=train)


def one_pixel_off(images):
    train = images.train.copy()
    train[3, 2, 2, 1] ^= 1
    return dataclasses.replace(images, train=train)


def one_less(images):
    return splits(images.train[1:], images.validation, images.test)


def moved_to_validation(images):
    return splits(
        images.train[:-1],
        np.concatenate([images.train[-1:], images.validation]),
        images.test,
    )


def of_another_version(images):
    return dataclasses.replace(images, version="a_set/1.1.0")


def larger(images):
    parts = (images.train, images.validation, images.test)
    return splits(*(np.repeat(p, 2, axis=1) for p in parts))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (swapped, "the same images in another order"),
        (one_pixel_off, "1 other training or validation images"),
        (one_less, "6 train images in place of 7"),
        (moved_to_validation, "3 validation images in place of 2"),
        (of_another_version, "a_set/1.1.0 in place of a_set/1.0.0"),
        (larger, r"shape \[8, 4, 3\] in place of \[4, 4, 3\]"),
    ],
)
def test_other_images_are_refused_with_what_differs(
    change, sentence, record, images
):
    with pytest.raises(InputError, match=f"begun with, received: .*{sentence}"):
        record.require_same(change(images))


def test_a_record_is_made_at_the_beginning_and_compared_later(images, tmp_path):
    record = DataRecord(tmp_path)
    said = []
    record.begin_or_continue(images, begun=False, log=said.append)
    record.begin_or_continue(images, begun=True, log=said.append)
    assert said == []
    with pytest.raises(InputError, match="begun with"):
        record.begin_or_continue(swapped(images), False, said.append)


def test_directories_of_earlier_versions_are_said_and_not_refused(
    images, tmp_path
):
    record = DataRecord(tmp_path)
    said = []
    record.begin_or_continue(images, begun=True, log=said.append)
    record.require_same(images)
    assert len(said) == 1
    assert "has no record of its data" in said[0]
    # What was trained on before is unknown, and stays so.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.json", "{"),
        ("data.json", "[]"),
        ("data.json", '{"version": "x"}'),
        ("trained_examples.npy", "not an array"),
        ("trained_examples.npy", ""),
        ("trained_examples.npy", None),
    ],
)
def test_a_damaged_record_is_named(name, content, record):
    path = record.folder / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    read = record.read if name == "data.json" else record.read_digests
    with pytest.raises(InputError, match=f"received: .*{name}"):
        read()
