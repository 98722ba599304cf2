"""What a version was made of, in `assets.extra`; servers do not read it."""

import datetime
import json

from yoto_tf import provenance

FILE = "assets.extra/manifest.json"
CURVE_FILE = "assets.extra/curve.csv"


def write(folder, model, endpoints, invalid_rows, differences, run=None):
    """Writes `manifest.json` and, of a run, a copy of its `curve.csv`.

    Args:
        folder: of the version.
        model: `ConditionalVAE`.
        endpoints: list of `Endpoint`.
        invalid_rows: `"error"` or `"flag"`.
        differences: of `verify`.
        run: `RunDirectory` of the model; None: it was not made by one.
    """
    trained = model.beta_range
    ends = trained.grid(2)
    content = {
        "exported": datetime.datetime.now(datetime.UTC).isoformat(
            timespec="seconds"
        ),
        "with": provenance.facts(),
        "image_shape": list(model.image_shape),
        "latent_size": model.model_config.latent_size,
        "parameters": model.count_params(),
        "beta": {
            "trained": trained.describe(),
            "min": float(ends[0]),
            "max": float(ends[-1]),
            "distribution": model.beta_config.to_dict(),
        },
        "units": "rate and distortion in nats per image",
        "distortion": "-log p(x|z, beta) at the posterior's mean",
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
            content["evaluation"] = json.loads(run.evaluation_file.read_text())
        (folder / CURVE_FILE).write_bytes(run.curve_file.read_bytes())
    target.write_text(json.dumps(content, indent=2) + "\n")
