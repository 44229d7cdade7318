"""Layers that compute what others do in less time on a CPU; on a GPU and in an exported graph they are the usual ones.

Why each is there, and what it gains: ``docs/decisions/0008``.
"""
