"""The formats of an export: a file each, and the table of them."""
