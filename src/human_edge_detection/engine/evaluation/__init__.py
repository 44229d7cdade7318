"""How good a model is on a data set, image by image, and figures of what it sees."""
