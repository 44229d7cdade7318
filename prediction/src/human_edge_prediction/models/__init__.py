"""A model file, ours or another's, as a function from an image to persons."""
