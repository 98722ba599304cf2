"""TF Serving's two APIs: what is asked and answered, and their ports."""
