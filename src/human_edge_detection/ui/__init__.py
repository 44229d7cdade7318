"""``hed ui``: a page of this machine that starts, watches, stops and continues batches. It keeps nothing of its own."""

from typing import Final

LOCAL: Final = "127.0.0.1"
"""The interface that nobody else reaches."""
