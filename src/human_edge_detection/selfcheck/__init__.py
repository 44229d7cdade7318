"""Checks that this tool makes of itself on a machine: exact resume, a small training, and the machine."""
