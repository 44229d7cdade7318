"""Batches of runs: plan and execute them, sweep settings, compare results. JSON in, JSON out; imports no torch."""

from typing import Final

STANDBY: Final = "--standby"
"""What a child is given in place of a command when it is to wait for one: ``backends/standby.py``, and in ``cli/``."""
LATENCY: Final = "--latency"
"""The same for a child that measures exported models: ``latency.py`` here and in ``cli/``."""
TOGETHER: Final = "--together"
"""For one that does a command in several processes: how many, then the command."""
PROBE: Final = "--probe"
"""And for one that measures what some training steps take: ``probe.py`` here and in ``cli/``."""
WITH_PARENT: Final = "--with_parent"
"""What stands before the command of a child on a node of a cluster, with the process id that it ends with."""
