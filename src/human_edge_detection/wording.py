"""Numbers in words."""

GIB = 2**30
"""Bytes."""


def gib(size: int) -> str:
    """``size`` bytes in words."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"
