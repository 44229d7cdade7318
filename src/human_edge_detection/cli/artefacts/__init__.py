"""Commands that make new files of exported ones."""
