"""The test images of a run, without any that it was trained on."""

import dataclasses

from yoto_tf.data_record import fingerprint
from yoto_tf.errors import InputError


def load_test_images(run, log=print):
    """Loads the images that a run is scored on.

    Args:
        run: `RunDirectory`.
        log: called with a sentence on whatever is not as it was.

    Returns:
        `(images, facts)`, as of `unseen`.

    Raises:
        InputError: if they cannot be loaded, or not be told from those that
            the run was trained on.
    """
    from yoto_tf.data import load_images

    data = run.read_config().data
    known = run.data.read()
    if known and data.image_size is None:
        # The size that the model was made for, whatever the data now suggest.
        size = known["image_shape"][0]
        data = dataclasses.replace(data, image_size=size)
    return unseen(run, load_images(data, parts=("test",)), log)


def unseen(run, splits, log=print):
    """Leaves out the test images that a run was trained or validated on.

    Data may change after a run: a folder's pictures are renamed, a data set
    gets another version. Images are compared pixel by pixel.

    Args:
        run: `RunDirectory`; one without a record of its data, of an earlier
            version, is said to be unchecked.
        splits: `ImageSplits` with `test` loaded.
        log: called with a sentence on whatever is not as it was.

    Returns:
        `(images, facts)`: `(n, size, size, channels)` uint8, and a dict for
        `evaluation.json`: `data_version`, `data_differences` (texts),
        `num_left_out` (None: not checked), `test_fingerprint`.

    Raises:
        InputError: if the images have another shape, fewer than two were not
            trained on, or they were cut from another version of a data set
            without a test split, whose order may be another.
    """
    images = splits.test
    known = run.data.read()
    left_out, differences = None, []
    if known is None:
        log(
            f"{run.path} has no record of its data, as runs of earlier "
            "versions: whether it was trained on these test images is not "
            "known"
        )
    else:
        differences = run.data.differences(splits)
        other_version = splits.version != known["version"]
        other_shape = list(splits.image_shape) != known["image_shape"]
        if other_shape or (other_version and not splits.own_test):
            raise InputError(
                f"expected test images of the data that {run.path} was "
                f"trained on, received: {', '.join(differences)}"
            )
        if differences:
            log(
                f"these are not the data that {run.path} was trained on: "
                + ", ".join(differences)
            )
        seen = run.data.seen(images)
        left_out = int(seen.sum())
        if left_out:
            log(
                f"{left_out} of {len(images)} test images are left out: "
                f"{run.path} was trained on them"
            )
            images = images[~seen]
        if len(images) < 2:
            raise InputError(
                f"expected two test images or more that {run.path} was not "
                f"trained on, received: {len(images)}; of a folder the names "
                "decide which these are, so name its pictures as they were"
            )
    return images, {
        "data_version": splits.version,
        "data_differences": differences,
        "num_left_out": left_out,
        "test_fingerprint": fingerprint(images),
    }
