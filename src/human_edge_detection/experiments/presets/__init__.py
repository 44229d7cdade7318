"""The named experiments. The registry collects the ``EXPERIMENTS`` and ``GROUPS`` of each module, by its ``PLACE``."""
