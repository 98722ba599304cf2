"""TF Serving's warm-up requests: where a version keeps them, and how many.

The export writes them, a server replays them when it loads a version
(`servables/tensorflow/saved_model_warmup_util.cc`).
"""

FILE = "assets.extra/tf_serving_warmup_requests"
# With more of them a server does not load the version.
MAX_RECORDS = 1000
