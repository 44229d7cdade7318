"""``python -m human_edge_detection`` is ``hed``; so are the children of a batch."""

import atexit
import os
import sys
from contextlib import suppress

exit_code: int | None = None
"""Of a command that came to its end; None: it did not."""


def leave() -> None:
    """Ends the process without taking its modules apart, which takes PyTorch more than a second."""
    if exit_code is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(exit_code)


if __name__ == "__main__":
    atexit.register(leave)  # the first to be registered is the last to be called
    from human_edge_detection.cli.main import main

    exit_code = main()
    sys.exit(exit_code)
