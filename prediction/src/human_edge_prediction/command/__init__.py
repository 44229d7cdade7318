"""The command that predicts: ``python -m human_edge_prediction``, and ``hed predict`` of the full package."""
