"""Train and compare experiments: ``uv run python run_experiments.py --configs quickstart``; the same as ``hed run``."""

import sys

from human_edge_detection.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]], program="run_experiments.py"))
