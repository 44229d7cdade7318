"""Weights from files and from the network: whole or refused."""
