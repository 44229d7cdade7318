"""The flags that several commands have in common."""
