"""Annotations: read from COCO, checked, packed into columns, indexed."""
