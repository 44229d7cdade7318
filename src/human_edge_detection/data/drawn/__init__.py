"""The sample data: drawn images of people with COCO annotations."""
