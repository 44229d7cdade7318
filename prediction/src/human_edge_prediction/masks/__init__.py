"""Masks: which pixels are a person's, their parts, edges and COCO's way to write them."""
