"""What a search over networks on tables may vary. Imports no TensorFlow."""

from typing import Literal

from yoto_tf.conditioning_config import OF_KINDS
from yoto_tf.conditioning_config import ConditioningKind
from yoto_tf.families.parts import LEARNING_RATE
from yoto_tf.families.parts import Dimension
from yoto_tf.registry import CONDITIONING

DIMENSIONS = [
    LEARNING_RATE,
    Dimension(
        "kind",
        "model.conditioning.kind",
        ConditioningKind | str,
        lambda settings: ["spline", "film", "gate"],
        "Of conditioning, as in the settings.",
        value=CONDITIONING.text,
    ),
    Dimension(
        "knots",
        "model.conditioning.knots",
        int,
        lambda settings: [3, 5, 9],
        "Of splines; searched with kind spline.",
        only_with=("kind", OF_KINDS["knots"]),
    ),
    Dimension(
        "hidden_units",
        "model.hidden_units",
        int,
        lambda settings: [
            max(1, settings.model.hidden_units // 2),
            settings.model.hidden_units * 2,
        ],
        "Width of the hidden layers.",
    ),
    Dimension(
        "weight_decay",
        "optimizer.weight_decay",
        float,
        lambda settings: [0.0, 0.01, 0.1],
        "Of all weights.",
    ),
    Dimension(
        "normalization",
        "objective.normalization",
        Literal["none", "geometric_mean", "sum"],
        lambda settings: (
            ["none", "geometric_mean", "sum"]
            if settings.task == "classification"
            else ["none"]
        ),
        "Of the loss; of classification.",
    ),
]
