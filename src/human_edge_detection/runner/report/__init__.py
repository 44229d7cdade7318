"""All runs of a folder as one HTML page that opens offline, made from their JSON files."""
