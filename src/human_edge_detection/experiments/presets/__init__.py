"""The named experiments. Each module states its experiments as data in ``EXPERIMENTS``; the registry collects them."""
