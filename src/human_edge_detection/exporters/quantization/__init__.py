"""Exported files in 8-bit integers: calibrated, layers that hurt left in float, refused where it is no gain."""
