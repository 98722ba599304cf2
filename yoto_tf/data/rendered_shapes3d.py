"""`rendered_shapes3d`: the Shapes3D world as a TFDS data set, no download.

Importing this module registers the data set with TensorFlow Datasets:

    import tensorflow_datasets as tfds
    import yoto_tf.data.rendered_shapes3d

    train = tfds.load("rendered_shapes3d", split="train")
"""

import dataclasses
import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from yoto_tf.data import shapes3d_renderer
from yoto_tf.data import shapes3d_world

_DESCRIPTION = """
Pictures of a room with one object in it, rendered while the data set is
prepared: nothing is downloaded. They imitate the 3D Shapes data set, with the
same six factors in the same order (floor hue, wall hue, object hue, scale,
shape and orientation; 480,000 combinations) and the same features as
`shapes3d` of TensorFlow Datasets. They are not its pixels: figures measured
on one data set do not hold for the other.
"""

_CITATION = """
@misc{3dshapes18,
  title={3D Shapes Dataset},
  author={Burgess, Chris and Kim, Hyunjik},
  howpublished={https://github.com/deepmind/3dshapes-dataset/},
  year={2018}
}
"""

_SPLIT_SEED = 20200430
# The first pictures of the shuffled world are for tests, whatever the config,
# so that no config trains on a test picture of another.
_TEST_RESERVE = 10_000
_BLOCK = 1_000


@dataclasses.dataclass
class RenderedShapes3dConfig(tfds.core.BuilderConfig):
    """How many of the 480,000 pictures a config holds.

    Attributes:
        train_size: Number of training pictures, at most 470,000.
        test_size: Number of test pictures, at most 10,000.
    """

    train_size: int = 0
    test_size: int = 0


def split_indices(config):
    """Returns which pictures are in each split of `config`.

    Args:
        config: A `RenderedShapes3dConfig`.

    Returns:
        Dict from "train" and "test" to int64 arrays of positions in the
        order of the full data set, without repetition and disjoint.
    """
    # The stream of RandomState is frozen across NumPy's versions, that of
    # Generator is not.
    order = np.random.RandomState(_SPLIT_SEED).permutation(
        shapes3d_world.NUM_COMBINATIONS
    )
    train = order[_TEST_RESERVE : _TEST_RESERVE + config.train_size]
    return {"train": train, "test": order[: config.test_size]}


def _encode_png(image):
    """Returns a picture as an open PNG file."""
    file = io.BytesIO()
    # Level 1 takes half the time of level 6 for files a sixth larger.
    Image.fromarray(image).save(file, format="PNG", compress_level=1)
    file.seek(0)
    return file


class RenderedShapes3d(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `rendered_shapes3d`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    # The first config is the default.
    BUILDER_CONFIGS = [
        RenderedShapes3dConfig(
            name="subset",
            description="20,000 training and 2,000 test pictures.",
            train_size=20_000,
            test_size=2_000,
        ),
        RenderedShapes3dConfig(
            name="subset_10k_test",
            description=(
                "The subset's training pictures, 10,000 to measure codes on."
            ),
            train_size=20_000,
            test_size=10_000,
        ),
        RenderedShapes3dConfig(
            name="tiny",
            description="512 training and 128 test pictures, to try code on.",
            train_size=512,
            test_size=128,
        ),
        RenderedShapes3dConfig(
            name="full",
            description="All combinations: 470,000 to train, 10,000 to test.",
            train_size=470_000,
            test_size=10_000,
        ),
    ]

    def _info(self):
        features = {
            "image": tfds.features.Image(
                shape=shapes3d_renderer.IMAGE_SHAPE, encoding_format="png"
            )
        }
        for name, size in zip(
            shapes3d_world.FACTOR_NAMES,
            shapes3d_world.FACTOR_SIZES,
            strict=True,
        ):
            features[f"label_{name}"] = tfds.features.ClassLabel(
                num_classes=size
            )
            features[f"value_{name}"] = tfds.features.Tensor(
                shape=[], dtype=np.float32
            )
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            citation=_CITATION,
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # Nothing to download.
        return {
            split: self._generate_examples(indices)
            for split, indices in split_indices(self.builder_config).items()
        }

    def _generate_examples(self, indices):
        """Yields `(position in the full data set, example)`."""
        for start in range(0, len(indices), _BLOCK):
            block = indices[start : start + _BLOCK]
            factors = shapes3d_world.index_to_factors(block)
            images = shapes3d_renderer.render(factors)
            values = shapes3d_world.factor_values(factors)
            for index, image, labels, physical in zip(
                block.tolist(),
                images,
                factors.tolist(),
                values.astype(np.float32),
                strict=True,
            ):
                example = {"image": _encode_png(image)}
                for name, label, value in zip(
                    shapes3d_world.FACTOR_NAMES, labels, physical, strict=True
                ):
                    example[f"label_{name}"] = label
                    example[f"value_{name}"] = value
                yield index, example
