"""Comparison of runs: the table of all, and pairs with intervals."""
