"""The training loop, its schedules, and what it reports."""
