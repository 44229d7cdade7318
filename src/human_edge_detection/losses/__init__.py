"""Losses on ground truth: pure functions first, one module that adds them up."""
