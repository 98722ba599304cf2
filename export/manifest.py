"""What a version was made of, in `assets.extra`; servers do not read it."""

import datetime
import json

from yoto_tf import provenance

FILE = "assets.extra/manifest.json"
CURVE_FILE = "assets.extra/curve.csv"


def write(folder, run, model, endpoints, invalid_rows, differences):
    """Writes `manifest.json` and a copy of the run's `curve.csv`.

    Args:
        folder: of the version.
        run: `RunDirectory`.
        model: its `ConditionalVAE`.
        endpoints: of `Signatures.endpoints`.
        invalid_rows: `"error"` or `"flag"`.
        differences: of `verify`.
    """
    trained = model.beta_range
    ends = trained.grid(2)
    recorded = json.loads(run.config_file.read_text())
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
            name: {
                spec.name: {
                    "dtype": spec.dtype.name,
                    "shape": spec.shape.as_list(),
                }
                for spec in specs
            }
            for name, (_, specs) in endpoints.items()
        },
        "max_abs_difference_to_keras": {
            f"{d.signature}.{d.output}": d.largest for d in differences
        },
        "curve": "curve.csv",
        "trained": recorded,
        # None for a run of an earlier version.
        "data": run.data.read(),
    }
    if run.evaluation_file.is_file():
        content["evaluation"] = json.loads(run.evaluation_file.read_text())
    target = folder / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content, indent=2) + "\n")
    (folder / CURVE_FILE).write_bytes(run.curve_file.read_bytes())
