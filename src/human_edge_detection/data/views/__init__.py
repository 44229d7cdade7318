"""A training view of an image: random changes, warp, rasterized masks."""
