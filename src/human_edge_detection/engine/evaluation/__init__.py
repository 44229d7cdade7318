"""How good a model is on a data set, image by image, and pictures of what it sees."""
