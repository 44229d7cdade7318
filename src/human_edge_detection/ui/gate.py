"""Who may ask: only who has the token, from a page of this server, by an address that no other site can stand for."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection, Mapping
from typing import Final

JSON_TYPE: Final = "application/json"
"""Of everything that changes something: a page of another site cannot send it without being asked first."""


def inner_path(path: str, token: str) -> str | None:
    """What follows ``/TOKEN/`` in the path of an address; None where the token is missing or another one."""
    given, slash, rest = path.removeprefix("/").partition("/")
    right = hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())
    return rest if right and slash else None


def refusal(headers: Mapping[str, str], *, changes: bool, names: Collection[str]) -> str | None:
    """Why a request is refused whose token is not looked at yet; None: it is not.

    Args:
        headers: Of the request; names of headers in any case.
        changes: Whether it may change something.
        names: Lower-case names of this machine, by which it may be asked beside numbers.
    """
    host = headers.get("Host", "")
    if not _is_known(host, names):
        return "this address is not one of this server"  # a name that another site made lead here
    if not changes:
        return None
    origin = headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return "a page of another site asks"
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return None if kind == JSON_TYPE else f"expected {JSON_TYPE}"


def _is_known(host: str, names: Collection[str]) -> bool:
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():  # without a port; ``[::1]`` has colons too
        name = host
    name = name.removeprefix("[").removesuffix("]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True
