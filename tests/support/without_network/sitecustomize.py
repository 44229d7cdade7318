"""Python imports this when it starts with this folder in PYTHONPATH: it then refuses every way to another machine.

What was tried is written into the file that ``HED_TEST_NETWORK`` names, as whoever is refused may say nothing.
"""

import os
import socket
from pathlib import Path
from typing import Any, NoReturn

_connect = socket.socket.connect


def _refuse(what: object) -> NoReturn:
    with Path(os.environ["HED_TEST_NETWORK"]).open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")
    raise OSError(101, "Network is unreachable")


def _refuse_others(self: socket.socket, address: Any) -> None:
    """Processes of one machine speak with each other through sockets that are files."""
    if self.family != socket.AF_UNIX:
        _refuse(address)
    _connect(self, address)


def _refuse_names(host: object, *_: object, **__: object) -> NoReturn:
    _refuse(host)


socket.socket.connect = _refuse_others  # type: ignore[method-assign, assignment]
socket.getaddrinfo = _refuse_names
socket.gethostbyname = _refuse_names
