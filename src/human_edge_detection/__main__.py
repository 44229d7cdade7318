"""``python -m human_edge_detection`` is ``hed``."""

import sys

from human_edge_detection.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
