"""The server of the page: the standard library's, with a gate in front of everything."""

from __future__ import annotations

import logging
import secrets
import socket
import sys
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from human_edge_detection.errors import ConfigError
from human_edge_detection.ui import LOCAL
from human_edge_detection.ui.gate import inner_path, refusal
from human_edge_detection.ui.routes import Answer, Routes

logger = logging.getLogger(__name__)

_TOKEN_BYTES: Final = 24
_HIGHEST_PORT: Final = 65535
_MAX_BODY: Final = 1 << 20
_PATIENCE_SECONDS: Final = 60


class UiServer(ThreadingHTTPServer):
    """Answers until it is closed; each request in a thread of its own.

    Attributes:
        address: What to open in a browser; whoever has it may start processes as this user.
    """

    daemon_threads = True

    def __init__(self, output_dir: Path, *, host: str = LOCAL, port: int = 0) -> None:
        """Takes the port.

        Args:
            output_dir: Folder of all runs.
            host: Interface to be asked at.
            port: 0: any that is free.

        Raises:
            ConfigError: The port or the interface cannot be used.
        """
        if not 0 <= port <= _HIGHEST_PORT:
            raise ConfigError(f"--port {port}: expected 1 to {_HIGHEST_PORT}, or 0 for any that is free")
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        names = frozenset({"localhost", host.lower(), socket.gethostname().lower()})
        handler = partial(_Handler, Routes(output_dir), self._token, names)
        try:
            self.address_family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            super().__init__((str(place[0]), port), handler)
        except socket.gaierror as error:
            raise ConfigError(f"--host {host}: {error.strerror}; give an address of this machine") from error
        except OSError as error:
            raise ConfigError(
                f"--port {port} of {host}: {error.strerror} (by a hed ui that runs already?); give another --port, "
                "0 for any that is free"
            ) from error

    @property
    def address(self) -> str:
        """With the token."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_address[1]}/{self._token}/"

    def server_bind(self) -> None:
        """Without looking up the name of this machine, which may wait for a network."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone, or sends no HTTP, is no error; the next request is answered."""
        logger.debug("a connection ended", exc_info=sys.exception())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "hed", ""
    timeout = _PATIENCE_SECONDS

    def __init__(self, routes: Routes, token: str, names: frozenset[str], *args: Any) -> None:
        self._routes, self._token, self._names = routes, token, names
        super().__init__(*args)

    def do_GET(self) -> None:
        inner = self._admitted(changes=False)
        if inner is not None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            self._send_found(lambda: self._routes.get(unquote(inner), query))

    def do_POST(self) -> None:
        inner = self._admitted(changes=True)
        if inner is None:
            return
        length = self.headers.get("Content-Length", "")
        # Of thousands of digits, Python makes no number.
        if not length.isdecimal() or len(length) > len(str(_MAX_BODY)) or int(length) > _MAX_BODY:
            self._refuse(413, "too long, or of unknown length")
            return
        body = self.rfile.read(int(length))
        self._send_found(lambda: self._routes.post(inner, body))

    def _admitted(self, *, changes: bool) -> str | None:
        """The path behind the token; None when the request is refused and answered."""
        headers = dict(self.headers.items())
        why = refusal({name.title(): value for name, value in headers.items()}, changes=changes, names=self._names)
        inner = inner_path(urlsplit(self.path).path, self._token)
        if why is None and inner is None:
            why = "no token, or another one: open the address that hed ui has written"
        if why is None:
            return inner
        self._refuse(403, why)
        return None

    def _send_found(self, find: Callable[[], Answer]) -> None:
        """Sends the answer; where there is none for a fault of ours, the page is told that much."""
        try:
            answer = find()
        except Exception:
            logger.exception("hed ui failed at a request")
            answer = Answer(b'{"error": "hed ui failed at this; the terminal that it runs in says more"}', status=500)
        self._send(answer)

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True  # what it sends yet is not read
        self._send(Answer(f"{why}\n".encode(), "text/plain; charset=utf-8", status))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in (
            ("Content-Type", answer.kind),
            ("Content-Length", str(len(answer.body))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            *(("Connection", "close") for _ in range(self.close_connection)),
            *answer.headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the addresses have the token in them."""
