"""Sweeps over settings: grids, searches with Optuna, and the part of the training data that they are scored on."""
