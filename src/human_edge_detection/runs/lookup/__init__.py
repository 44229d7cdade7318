"""Which folder a run lies in, what tells it from others, and what it goes on from."""
