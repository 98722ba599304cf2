"""The search of `training.tune`: space, oracles, trials, files, progress."""
