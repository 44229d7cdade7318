"""Batches of runs: plan and execute them, sweep settings, compare results. JSON in, JSON out; imports no torch."""
