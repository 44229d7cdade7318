"""Layers that compute what others do in less time on a CPU.

Why each is there, and what it gains: ``docs/decisions/0008``. On a GPU and in an exported graph they are the usual ones.
"""
