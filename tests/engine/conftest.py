"""Whole runs here are of small networks."""

import pytest


@pytest.fixture(autouse=True)
def _small_networks(small_networks: None) -> None: ...
