"""The teacher of a run, asked or stored: what it is, its soft labels, and the truth beside them."""
