"""A request's way through the graph of a loaded version."""
