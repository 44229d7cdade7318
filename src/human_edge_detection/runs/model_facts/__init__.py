"""What others must know of a model: what it learned from, what it takes and gives."""
