"""What an experiment is: typed configs, the registry, the run folder and what a run reports. Imports no torch."""
