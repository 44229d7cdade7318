"""Distil a large person-segmentation U-Net into a small one, and prove that the small one is good."""

__version__ = "0.1.0"
