"""A development and test server with TF Serving's two APIs.

It answers as `tensorflow_model_server` does, on one machine and in one
process, so that clients can be written and tested without containers.
"""
