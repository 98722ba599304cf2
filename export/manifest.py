"""What a version was made of, in `assets.extra`; servers do not read it."""

import datetime
import json

from yoto_tf import provenance

FILE = "assets.extra/manifest.json"
CURVE_FILE = "assets.extra/curve.csv"


def write(
    folder,
    model,
    family,
    endpoints,
    invalid_rows,
    differences,
    run=None,
):
    """Writes `manifest.json` and, of a run, a copy of its `curve.csv`.

    Args:
        folder: of the version.
        model: `LossConditionalModel`.
        family: `Family`; one without a name for a model of no family.
        endpoints: list of `Endpoint`.
        invalid_rows: `"error"` or `"flag"`.
        differences: of `verify`.
        run: `RunDirectory` of the model; None: it was not made by one.
    """
    joint = model.loss_parameters
    view = family.view_of(model)
    content = {
        "exported": datetime.datetime.now(datetime.UTC).isoformat(
            timespec="seconds"
        ),
        "with": provenance.facts(),
        "family": family.name or None,
        "loss_parameters": [joint.facts(name) for name in joint.asked],
        "view": view and view.to_dict(),
        "parameters": model.count_params(),
        **family.facts(model),
        "invalid_rows": invalid_rows,
        "signatures": {
            endpoint.name: {
                spec.name: {
                    "dtype": spec.dtype.name,
                    "shape": spec.shape.as_list(),
                }
                for spec in endpoint.inputs
            }
            for endpoint in endpoints
        },
        "max_abs_difference_to_keras": {
            f"{d.signature}.{d.output}": d.largest for d in differences
        },
    }
    target = folder / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    if run is not None:
        content["curve"] = "curve.csv"
        content["trained"] = json.loads(run.config_file.read_text())
        # None for a run of an earlier version.
        content["data"] = run.data.read()
        if run.evaluation_file.is_file():
            content["evaluation"] = run.read_evaluation()
        (folder / CURVE_FILE).write_bytes(run.curve_file.read_bytes())
        if run.examples_file.is_file():
            kept = target.parent / run.examples_file.name
            kept.write_bytes(run.examples_file.read_bytes())
    target.write_text(json.dumps(content, indent=2) + "\n")
