"""Batches of runs: plan them, launch each as a process of its own, judge, compare. Imports no torch."""
