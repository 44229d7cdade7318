"""Image files: their headers, and reading, resizing and resampling their pixels."""
