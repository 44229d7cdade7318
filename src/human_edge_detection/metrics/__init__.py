"""Metrics of segmentation, from counts that add up over a data set, however it is divided into batches."""
