"""A run folder and what is in it: paths, records, dependencies, and the request for a run. Imports no torch."""
