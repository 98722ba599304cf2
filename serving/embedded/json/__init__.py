"""TF Serving's JSON of requests and replies, to its digits and its errors."""
