"""Drawn sample data: images of persons with COCO annotations, for trying the tool and for tests."""
