"""Serving: the client, the embedded server and TF Serving's files."""
