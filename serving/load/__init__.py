"""Requests under load: what `serving.benchmark` is made of."""
