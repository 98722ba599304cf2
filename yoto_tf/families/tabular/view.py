"""How a page shows a network on tables: by the names of its columns."""

from yoto_tf.families.tabular.model import CostSensitiveClassifier
from yoto_tf.families.view import ROW
from yoto_tf.families.view import Input
from yoto_tf.families.view import Output
from yoto_tf.families.view import View


def view_of(model):
    """The `View` of a `TableModel`."""
    if isinstance(model, CostSensitiveClassifier):
        # Above one half an alarm costs less than none.
        answer = Output(
            "probability",
            title=model.target,
            form=".1%",
            unit="alarm above 50 %",
        )
    else:
        answer = Output("quantile", title=model.target)
    return View(
        signature="predict",
        inputs=(Input("inputs", ROW, model.fields),),
        outputs=(answer,),
        noun="row",
    )
