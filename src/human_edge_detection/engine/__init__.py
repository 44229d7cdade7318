"""Turns a config into parts and runs them: build, train, checkpoint, evaluate."""
