"""Train one experiment: ``uv run python train_advanced.py --config NAME``; the same as ``hed train``."""

import sys

from human_edge_detection.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], program="train_advanced.py"))
