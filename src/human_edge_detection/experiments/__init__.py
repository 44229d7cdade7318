"""What an experiment is: typed configs, presets, the registry, and what changes a preset. Imports no torch."""
