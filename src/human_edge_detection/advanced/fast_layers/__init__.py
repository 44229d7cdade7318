"""Faster layers for a CPU, with the results of those of PyTorch, timm and smp, which GPUs and exported graphs use.

Why each exists and what it gains is in ``docs/decisions/0008``.
"""
