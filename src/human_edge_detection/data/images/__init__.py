"""Image files: what their header says, and their pixels."""
