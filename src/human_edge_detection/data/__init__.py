"""Images of people and their annotations: reading, augmenting, batching, preparing, and drawn sample data."""
