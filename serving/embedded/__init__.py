"""A development and test server with TF Serving's two APIs.

It answers as `tensorflow_model_server` does, on one machine and in one
process, so that clients can be written and tested without containers.
"""

from yoto_tf import extras

extras.require(
    "serving",
    *("absl", "grpc", "grpc_health", "grpc_reflection"),
    *("starlette", "uvicorn"),
)
