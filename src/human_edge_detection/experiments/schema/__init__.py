"""The typed sections of an experiment: frozen, checked whole."""
