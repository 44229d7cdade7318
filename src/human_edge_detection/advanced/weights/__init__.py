"""Loads weights from files and from the network: completely, or not at all."""
