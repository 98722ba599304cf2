"""What a run, or a search, keeps of the data it was trained on.

    DIR/data.json              version, shape, number of examples, fingerprint
    DIR/trained_examples.npy   a number for every example trained on

So that one that continues later continues on the same examples, and none is
scored on examples that it has seen.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from yoto_tf.errors import InputError
from yoto_tf.examples import digests
from yoto_tf.files import written_whole


def fingerprint(examples):
    """A text for examples in their order: 16 hexadecimal digits.

    Args:
        examples: as of `digests`, or their digests.
    """
    known = getattr(examples, "dtype", None) == np.uint64
    numbers = examples if known else digests(examples)
    return hashlib.sha256(numbers.astype(">u8").tobytes()).hexdigest()[:16]


class DataRecord:
    """The record in one directory.

    Args:
        folder: of a run or a search.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.facts_file = self.folder / "data.json"
        self.digests_file = self.folder / "trained_examples.npy"

    def write(self, splits):
        """Keeps what there is to know of `Splits`, `train` loaded."""
        with written_whole(self.digests_file) as aside:
            np.save(aside, splits.trained_digests)
        content = {
            "version": splits.version,
            "own_test_split": splits.own_test,
            "example_shape": list(splits.example_shape),
            "num_examples": splits.num_examples,
            "fingerprint": fingerprint(splits.trained_digests),
        }
        # Last: where it is, the other is, too.
        with written_whole(self.facts_file) as aside:
            aside.write_text(json.dumps(content, indent=2) + "\n")

    def read(self):
        """Returns `data.json` as a dict, None if there is no record, as in
        directories of earlier versions.

        Raises:
            InputError: if it is damaged.
        """
        if not self.facts_file.is_file():
            return None
        try:
            content = json.loads(self.facts_file.read_text())
            if not {"version", "num_examples", "fingerprint"} <= set(content):
                raise ValueError("entries are missing")
            return content
        except (ValueError, TypeError) as error:
            raise InputError(
                "expected a data.json of this version, received: "
                f"{self.facts_file}, which cannot be used ({error})"
            ) from error

    def read_digests(self):
        """Returns the `digests` of all examples that were trained or validated
        on, in their order.

        Raises:
            InputError: if the file is missing or damaged.
        """
        try:
            return np.load(self.digests_file)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"expected {self.digests_file.name} beside data.json, "
                f"received: {self.digests_file}, which cannot be read "
                f"({error})"
            ) from error

    def differences(self, splits):
        """Says in which facts `Splits` differ from the record.

        Returns:
            list of texts `NEW in place of OLD`; empty without a record.
        """
        known = self.read()
        if known is None:
            return []
        found = []
        if splits.version != known["version"]:
            found.append(f"{splits.version} in place of {known['version']}")
        shape = list(splits.example_shape)
        if shape != known["example_shape"]:
            found.append(f"shape {shape} in place of {known['example_shape']}")
        for part, number in splits.num_examples.items():
            before = known["num_examples"].get(part)
            if number != before:
                what = f"{part} {splits.noun}"
                found.append(f"{number} {what} in place of {before}")
        return found

    def begin_or_continue(self, splits, begun, log):
        """Makes the record, or compares `Splits` with the one there is.

        Args:
            splits: `Splits`, `train` loaded.
            begun: whether something was trained already; then a missing
                record is said, not made.
            log: called with a sentence.

        Raises:
            InputError: as of `require_same`.
        """
        if self.read() is not None:
            self.require_same(splits)
        elif begun:
            log(
                f"{self.folder} has no record of its data, as those of earlier "
                "versions: whether these are the same is not known"
            )
        else:
            self.write(splits)

    def require_same(self, splits):
        """Refuses `Splits`, `train` loaded, of other data.

        Raises:
            InputError: naming what differs, if there is a record and its
                examples are not these, in this order.
        """
        known = self.read()
        if known is None:
            return
        found = self.differences(splits)
        numbers = splits.trained_digests
        if not found and fingerprint(numbers) != known["fingerprint"]:
            others = (~np.isin(numbers, self.read_digests())).sum()
            found = [
                f"{others} other training or validation {splits.noun}"
                if others
                else f"the same {splits.noun} in another order"
            ]
        if found:
            raise InputError(
                f"expected the {splits.noun} that {self.folder} was begun "
                f"with, received: {', '.join(found)}; bring those back, or "
                "begin anew in another directory"
            )

    def seen(self, examples):
        """Which examples were trained or validated on, value by value.

        Args:
            examples: as of `digests`.

        Returns:
            `(n,)` bool.
        """
        return np.isin(digests(examples), self.read_digests())
