"""Checkpoints: the file, when it is written, what a resumed run needs of it, and a model loaded from one."""
