"""``best_model.md``: what somebody who gets an exported model has to know, and the same in its metadata."""
