"""The VAE's metrics, as the scripts name them. Imports no TensorFlow."""

from yoto_tf.families.parts import Column
from yoto_tf.families.parts import Metric

_NATS = "nats per image"
# Always in curve.csv.
ACTIVE_UNITS = Column("active_units", "active units", ".0f")

METRICS = {
    "nll": Metric(
        "-log p(x) by importance sampling, of at most 500 images",
        [
            Column("nll", "NLL", ".1f", _NATS),
            Column("elbo_nll", "ELBO's NLL", ".1f", _NATS),
        ],
        size=100,
    ),
    "mutual_information": Metric(
        "of image and code, with the aggregate posterior of at most 10,000 "
        "images",
        [
            ACTIVE_UNITS,
            Column("mutual_information", "mutual information", ".2f", _NATS),
        ],
    ),
    "disentanglement": Metric(
        "MIG, SAP, modularity and FactorVAE score of the posterior's means",
        [
            Column("mig", "MIG", ".3f"),
            Column("sap", "SAP", ".3f"),
            Column("modularity", "modularity", ".3f"),
            Column("factor_vae_score", "FactorVAE score", ".3f"),
            Column("live_codes", "live codes", ".0f"),
        ],
        factors=True,
    ),
    "dci": Metric(
        "disentanglement, completeness, informativeness by boosted trees; "
        "minutes per value",
        [
            Column("dci_disentanglement", "DCI disentanglement", ".3f"),
            Column("dci_completeness", "DCI completeness", ".3f"),
            Column("dci_informativeness", "DCI informativeness", ".3f"),
        ],
        factors=True,
        most=4,
    ),
}
