"""Which pictures of a folder count, and on which side each of them is."""

import hashlib
import os
import re
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from yoto_tf.data import load_images
from yoto_tf.data import splits
from yoto_tf.data.cuts import cut_by_name
from yoto_tf.data.folder import FolderImages
from yoto_tf.data.listing import picture_files
from yoto_tf.errors import InputError
from yoto_tf.image_config import DataConfig


def picture(path, number=0):
    """Writes a picture whose first pixel tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((32, 32, 3), 200, np.uint8)
    image[..., :2] = number // 256, number % 256
    Image.fromarray(image).save(path)


@pytest.fixture
def folder(tmp_path):
    """Sixty pictures in two folders, picture number i called i."""
    for i in range(60):
        name = f"{i:02}.png" if i % 2 else f"holiday/{i:02}.png"
        picture(tmp_path / "pictures" / name, i)
    return tmp_path / "pictures"


def parts(folder, **fields):
    """The numbers of the pictures in each part."""
    images = load_images(DataConfig(name=str(folder), **fields))
    numbers = [
        {256 * int(r) + int(g) for r, g in part[:, 0, 0, :2]}
        for part in (images.train, images.validation, images.test)
    ]
    # Nothing is in a part twice.
    assert [len(n) for n in numbers] == list(images.num_examples.values())
    return numbers


def in_lowest_tenth(name, salt):
    stem = name.removesuffix(".png")
    digest = hashlib.sha256(f"{salt}/{stem}".encode()).hexdigest()
    return int(digest[:16], 16) < 2**64 / 10


@pytest.mark.parametrize("seed", [0, 2])
def test_the_hash_of_a_name_alone_decides_its_part(folder, seed):
    train, validation, test = parts(folder, split_seed=seed)
    names = {
        i: f"{i:02}.png" if i % 2 else f"holiday/{i:02}.png" for i in range(60)
    }
    expected = {
        i for i, n in names.items() if in_lowest_tenth(n, f"{seed} test")
    }
    assert test == expected
    assert validation == {
        i
        for i in set(names) - expected
        if in_lowest_tenth(names[i], f"{seed} validation")
    }
    assert train == set(names) - test - validation
    assert len(test) >= 2
    assert validation


def test_another_seed_tests_on_others(folder):
    assert parts(folder)[2] != parts(folder, split_seed=1)[2]


def change_nothing_but(change, folder):
    """Applies a change; returns the numbers it concerns."""
    if change == "rename":
        (folder / "01.png").rename(folder / "zz.png")
        return {1}
    if change == "rename a folder":
        (folder / "holiday").rename(folder / "journey")
        return set(range(0, 60, 2))
    if change == "convert":
        for path in folder.rglob("*.png"):
            with Image.open(path) as image:
                image.save(path.with_suffix(".BMP"))
            path.unlink()
        return set()
    if change == "remove":
        for number in (1, 33, 58):
            next(folder.rglob(f"{number:02}.png")).unlink()
        return {1, 33, 58}
    for number in range(100, 140):
        picture(folder / f"{number}.png", number)
    return set(range(100, 140))


@pytest.mark.parametrize(
    "change", ["rename", "rename a folder", "convert", "remove", "add"]
)
def test_what_is_added_removed_or_renamed_moves_no_other(change, folder):
    before = parts(folder)
    concerned = change_nothing_but(change, folder)
    after = parts(folder)
    for old, new in zip(before, after, strict=True):
        assert old - concerned == new - concerned


def test_a_given_number_is_tested_on_and_adding_one_moves_one_at_most(folder):
    before = parts(folder, test_examples=8, validation_examples=3)
    assert [len(n) for n in before] == [49, 3, 8]
    picture(folder / "new.png", 100)
    after = parts(folder, test_examples=8, validation_examples=3)
    assert len(before[2] - after[2]) <= 1
    # What was trained on is still not tested on.
    assert not after[2] & (before[0] | before[1])


def test_names_that_file_systems_take_for_one_are_one(folder):
    before = parts(folder)
    composed = unicodedata.normalize("NFC", "Käfer.png")
    picture(folder / composed, 100)
    first = parts(folder)
    (folder / composed).rename(
        folder / unicodedata.normalize("NFD", composed).upper()
    )
    assert parts(folder) == first
    (folder / "holiday").rename(folder / "HOLIDAY")
    assert parts(folder) == first
    assert [n - {100} for n in first] == before


def test_names_that_are_not_unicode_are_read(tmp_path):
    for i in range(5):
        picture(tmp_path / f"{i}.png", i)
    os.rename(tmp_path / "0.png", os.fsencode(tmp_path) + b"/\xff.png")
    assert set.union(*parts(tmp_path)) == set(range(5))


def test_copies_count_once_by_the_shortest_of_their_names(folder):
    before = parts(folder)
    for path in list(folder.rglob("*.png")):
        for number in range(3):
            shutil.copy(path, folder / f"copy_{number}_of_{path.name}")
    shutil.copytree(folder / "holiday", folder / "backup/holiday")
    images = load_images(DataConfig(name=str(folder)))
    assert images.notes == (
        "210 of 270 pictures are copies of others, pixel by pixel at 32x32, "
        "and left out",
    )
    assert parts(folder) == before
    # One size, two contents.
    picture(folder / "holiday/00.png", 61)
    assert len(FolderImages(str(folder)).copies(32)) == 209


@pytest.mark.parametrize("suffix", ["bmp", "gif", "webp", "png"])
@pytest.mark.parametrize("place", ["", "larger", "holiday/old"])
def test_copies_of_the_same_pixels_in_other_files_count_once(
    place, suffix, folder
):
    before = parts(folder)
    for path in list(folder.rglob("*.png")):
        copy = folder / place / f"a_copy_of_{path.stem}.{suffix}"
        copy.parent.mkdir(exist_ok=True)
        options = {"webp": {"lossless": True}, "png": {"compress_level": 0}}
        with Image.open(path) as image:
            image.save(copy, **options.get(suffix, {}))
    images = load_images(DataConfig(name=str(folder)))
    assert "60 of 120 pictures are copies" in images.notes[0]
    assert parts(folder) == before


def test_copies_in_another_format_are_on_the_side_of_the_picture(tmp_path):
    """JPEG changes pixels, so that they count, but not on both sides."""
    rng = np.random.default_rng(0)
    for i in range(60):
        noise = rng.integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(noise).resize((32, 32))
        for suffix in ("png", "JPG", "jpeg"):
            image.save(tmp_path / f"{i}.{suffix}", quality=60 + len(suffix))
    images = load_images(DataConfig(name=str(tmp_path)))
    assert not images.notes or "pictures are copies" in images.notes[0]
    assert len(images.test) >= 4
    for one, others in (
        (images.test, np.concatenate([images.train, images.validation])),
        (images.validation, images.train),
    ):
        apart = one[:, None].astype(float) - others[None]
        assert abs(apart).mean((2, 3, 4)).min() > 20


@pytest.mark.parametrize("number", [9, 10, 11, 12, 13])
def test_a_given_number_does_not_cut_between_formats(number, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(30):
        image = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
        image.save(tmp_path / f"{i}.png")
        # Other pixels: it is no copy.
        image.save(tmp_path / f"{i}.jpg", quality=60)
    config = DataConfig(
        name=str(tmp_path), test_examples=number, validation_examples=number
    )
    found = FolderImages(tmp_path)
    cut = cut_by_name(found, config, 32)
    sides = [
        {found.files[i].stem for i in part}
        for part in (cut.train, cut.validation, cut.test)
    ]
    assert sum(map(len, sides)) == 30
    assert len(cut.test) == 2 * len(sides[2])
    assert number <= len(cut.test) <= number + 1


@pytest.mark.parametrize("parts", [("train",), ("test",)])
def test_one_part_is_cut_as_both_are(parts, folder):
    shutil.copytree(folder / "holiday", folder / "backup/holiday")
    config = DataConfig(name=str(folder))
    both, one = load_images(config), load_images(config, parts=parts)
    assert one.num_examples == both.num_examples
    assert one.notes == both.notes
    for name in ("train", "validation", "test"):
        wanted = ("test" if name == "test" else "train") in parts
        expected = getattr(both, name)
        np.testing.assert_array_equal(
            getattr(one, name), expected if wanted else expected[:0]
        )


def test_of_many_pictures_the_first_broken_one_is_named(folder):
    for name in ("07.png", "holiday/08.png"):
        (folder / name).write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"/07\.png"):
        load_images(DataConfig(name=str(folder)))


# How few are enough.


def test_what_is_passed_over_or_not_there_is_noted(folder):
    for i in range(3):
        picture(folder / f"more/{i}.tif", i)
    asked = {"train_examples": 1000, "test_examples": 9}
    notes = load_images(DataConfig(name=str(folder), **asked)).notes
    passed, fewer = notes
    assert passed.startswith("3 pictures ending in .tif are passed over")
    assert re.fullmatch("train_examples=1000: there are [0-9]+", fewer)


def test_a_folder_called_like_a_data_set_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    assert splits._other("cifar10") == (
        "cifar10 is TFDS's; ./cifar10 is the folder of that name",
    )
    assert splits._other("mnist") == splits._other("./cifar10") == ()
    (tmp_path / "coco/train2017").mkdir(parents=True)
    with pytest.raises(InputError, match=r"; \./coco/train2017 is the folder"):
        load_images(DataConfig(name="coco/train2017"))


def test_a_dark_folder_is_noted_and_a_bright_one_is_not(folder, tmp_path):
    assert not load_images(DataConfig(name=str(folder))).notes
    dark = tmp_path / "dark"
    dark.mkdir()
    for i in range(12):
        # Twelve bits in a file of sixteen.
        pixels = np.zeros((32, 32), np.uint16)
        pixels[i] = 4095
        Image.fromarray(pixels).save(dark / f"{i}.png")
    *_, note = load_images(DataConfig(name=str(dark), image_size=32)).notes
    assert "brightest pixel of the training images is 15 of 255" in note


@pytest.mark.parametrize("number", [1, 2])
def test_too_few_pictures_are_refused_with_how_many_are_needed(
    number, tmp_path
):
    for i in range(number):
        picture(tmp_path / f"{i}.png", i)
    with pytest.raises(InputError) as refused:
        load_images(DataConfig(name=str(tmp_path)), parts=("train",))
    assert str(refused.value) == (
        "expected 3 images (2 to test on, 1 to train on) or more in "
        f"data.name={str(tmp_path)!r}, received: {number}"
    )


@pytest.mark.parametrize("number", range(3, 21))
def test_few_pictures_leave_two_to_score_and_half_to_train_on(number, tmp_path):
    for i in range(number):
        picture(tmp_path / f"{i}.png", i)
    for seed in range(3):
        train, validation, test = parts(tmp_path, split_seed=seed)
        assert train | validation | test == set(range(number))
        assert 2 <= len(test) <= max(2, number // 2)
        assert len(validation) <= number // 5
        assert train


# What a folder holds that its owner does not see.


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/00-checkpoint.png",
        "holiday/.ipynb_checkpoints/00-checkpoint.png",
        ".git/objects/00.png",
        "__MACOSX/holiday/00.png",
        "holiday/._00.png",
        "@eaDir/00.png/SYNOPHOTO_THUMB_M.png",
        "$RECYCLE.BIN/00.png",
        ".hidden.png",
    ],
)
def test_what_its_owner_does_not_see_is_no_picture_of_a_folder(name, folder):
    before = picture_files(folder)
    assert len(before) == 60
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0\5\26\7 not a picture at all")
    assert picture_files(folder) == before


def test_a_hidden_folder_can_be_named_itself(tmp_path):
    for i in range(3):
        picture(tmp_path / ".cache/pictures" / f"{i}.png", i)
    assert len(picture_files(tmp_path / ".cache/pictures")) == 3


def test_folders_and_pipes_that_are_called_like_pictures_are_none(folder):
    before = picture_files(folder)
    (folder / "album.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    assert picture_files(folder) == before


def test_links_are_followed_once_and_loops_end(folder, tmp_path):
    before = picture_files(folder)
    (folder / "again.png").symlink_to(folder / "01.png")
    (folder / "a_loop").symlink_to(folder)
    (folder / "holiday/up").symlink_to(tmp_path)
    (folder / "twin").symlink_to("holiday")
    assert picture_files(folder) == before
    picture(tmp_path / "elsewhere/00.png", 100)
    picture(tmp_path / "more/deep/00.png", 101)
    (folder / "linked").symlink_to(tmp_path / "more")
    found = picture_files(folder)
    linked = {
        # By the loop through the folder above.
        folder / "holiday/up/elsewhere/00.png",
        folder / "linked/deep/00.png",
    }
    assert set(found) - set(before) <= linked | {
        folder / "holiday/up/more/deep/00.png"
    }
    assert len(found) == 62


def test_links_into_what_is_hidden_count(tmp_path):
    """As git-annex keeps its files."""
    for i in range(4):
        picture(tmp_path / f".git/annex/{i}.png", i)
        (tmp_path / f"{i}.png").symlink_to(f".git/annex/{i}.png")
    assert [p.name for p in picture_files(tmp_path)] == [
        f"{i}.png" for i in range(4)
    ]


def test_a_link_that_leads_nowhere_is_named(folder):
    (folder / "lost.png").symlink_to(folder / "gone.png")
    with pytest.raises(InputError, match=r"lost\.png \(No such file"):
        load_images(DataConfig(name=str(folder)))


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    """Not passed over, as `os.walk` does."""
    scan = os.scandir

    def refuse(place):
        if str(place).endswith("holiday"):
            raise PermissionError(13, "Permission denied")
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"holiday \(Permission denied"):
        load_images(DataConfig(name=str(folder)))


@pytest.mark.parametrize(
    "name",
    [
        "pictures",
        "pictures/old",
        "my pictures/2026",
        "pictures/",
        "a.b",
        "C:/a",
    ],
)
def test_a_folder_that_is_gone_is_said_to_be_gone(name, tmp_path, monkeypatch):
    """And not only that TFDS, which nobody asked, does not know it."""
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        picture(tmp_path / name / f"{i}.png", i)
    assert load_images(DataConfig(name=name)).version == "folder"
    (tmp_path / name).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError) as refused:
        load_images(DataConfig(name=name))
    assert f"no folder {os.path.abspath(name)} and" in str(refused.value)
    for path in (f"./{name}", str(tmp_path / name)):
        with pytest.raises(InputError, match="which does not exist"):
            load_images(DataConfig(name=path))


def test_a_folder_has_no_place_of_tfds(folder):
    with pytest.raises(InputError, match="data_dir unset for a folder.*'/tmp'"):
        load_images(DataConfig(name=str(folder), data_dir="/tmp"))
