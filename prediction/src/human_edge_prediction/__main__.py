"""``python -m human_edge_prediction SOURCE... --model FILE``: the command that predicts, without the full package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from human_edge_prediction.command.arguments import add_arguments
from human_edge_prediction.command.predict import INTERRUPTED_LINE, printable, run
from human_edge_prediction.errors import PredictionError

INTERRUPTED: Final = 130


class _Parser(argparse.ArgumentParser):
    """A mistake is one line."""

    def error(self, message: str) -> NoReturn:
        raise PredictionError(f"{message}; see --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts.

    Args:
        argv: None: the arguments of the process.

    Returns:
        0 done, 1 some images failed, 2 the call was wrong, 130 ended by Ctrl-C.
    """
    parser = _Parser(
        prog="python -m human_edge_prediction", description="find persons and their masks", allow_abbrev=False
    )
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except PredictionError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED_LINE}\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
