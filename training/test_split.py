"""The test split of a run, without any example that it was trained on."""

from yoto_tf.data_record import fingerprint
from yoto_tf.errors import InputError


def load_test_split(run, log=print):
    """Loads the examples that a run is scored on.

    Args:
        run: `RunDirectory`.
        log: called with a sentence on whatever is not as it was.

    Returns:
        `(examples, facts)`, as of `unseen`.

    Raises:
        InputError: if they cannot be loaded, or not be told from those that
            the run was trained on.
    """
    config = run.read_config()
    splits = run.family().load(config, parts=("test",), known=run.data.read())
    return unseen(run, splits, log)


def unseen(run, splits, log=print):
    """Leaves out the test examples that a run was trained or validated on.

    Data may change after a run: a folder's pictures are renamed, a data set
    gets another version. Examples are compared value by value, where values
    tell them apart (`Splits.told_by_values`); of others the version says that
    these are the ones that were kept aside.

    Args:
        run: `RunDirectory`; one without a record of its data, of an earlier
            version, is said to be unchecked.
        splits: `Splits` with `test` loaded.
        log: called with a sentence on whatever is not as it was.

    Returns:
        `(examples, facts)`: the test part, and a dict for `evaluation.json`:
        `data_name`, `data_version`, `data_differences` (texts),
        `num_left_out` (None: not checked), `test_fingerprint`.

    Raises:
        InputError: if the examples have another shape, fewer than two were not
            trained on, or they were cut from another version of a data set
            without a test split, whose order may be another.
    """
    examples = splits.test
    known = run.data.read()
    left_out, differences = None, []
    if known is None:
        log(
            f"{run.path} has no record of its data, as runs of earlier "
            f"versions: whether it was trained on these test {splits.noun} "
            "is not known"
        )
    else:
        differences = run.data.differences(splits)
        other_version = splits.version != known["version"]
        other_shape = list(splits.example_shape) != known["example_shape"]
        if other_shape or (other_version and not splits.own_test):
            raise InputError(
                f"expected test {splits.noun} of the data that {run.path} was "
                f"trained on, received: {', '.join(differences)}"
            )
        if differences:
            log(
                f"these are not the data that {run.path} was trained on: "
                + ", ".join(differences)
            )
        seen = run.data.seen(examples)
        if not splits.told_by_values:
            seen[:] = False
        left_out = int(seen.sum())
        if left_out:
            log(
                f"{left_out} of {len(examples)} test {splits.noun} are left "
                f"out: {run.path} was trained on them"
            )
            examples = examples[~seen]
        if len(examples) < 2:
            raise InputError(
                f"expected two test {splits.noun} or more that {run.path} was "
                f"not trained on, received: {len(examples)}; of a folder the "
                "names decide which these are, so name its pictures as they "
                "were"
            )
    return examples, _facts(splits, examples, differences, left_out)


def held_out(splits):
    """The held-out training examples, as `unseen` returns those of the test
    split.

    Raises:
        InputError: if there are fewer than two.
    """
    examples = splits.validation
    if examples is None or len(examples) < 2:
        raise InputError(
            "expected two held-out training examples or more to score on "
            "(data.validation_examples), received: "
            f"{0 if examples is None else len(examples)}"
        )
    return examples, _facts(splits, examples, [], 0)


def _facts(splits, examples, differences, left_out):
    return {
        "data_name": splits.name,
        "data_version": splits.version,
        "data_differences": differences,
        "num_left_out": left_out,
        "test_fingerprint": fingerprint(examples),
    }
