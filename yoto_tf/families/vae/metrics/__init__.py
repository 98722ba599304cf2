"""What beta does: likelihood, information and disentanglement of the code."""
