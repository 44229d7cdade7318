"""What a user names to predict on: images, videos, folders, patterns, lists, and boxes on them."""
