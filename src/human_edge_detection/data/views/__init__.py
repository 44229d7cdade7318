"""One augmented view of a training image: random parameters, affine warp, rasterised masks."""
