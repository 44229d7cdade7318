"""What a prediction is written as: one class for each kind of file."""
