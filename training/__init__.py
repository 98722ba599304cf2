"""Fit scripts: train, evaluate, plot, measure."""
