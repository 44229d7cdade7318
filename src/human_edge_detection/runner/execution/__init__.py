"""A batch: what is planned, who works on it, one child process a run, and how each ended."""
