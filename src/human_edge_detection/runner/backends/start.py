"""How a process is started that shares this one's terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

_STDERR: Final = 2
"""Where all that a child says goes: the standard output is for what this process was asked for."""


def begin(
    command: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    output: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts ``command`` as a new process with this one's terminal and environment.

    Args:
        command: What to start.
        pass_fds: Open files that it gets too.
        output: The open file that takes all that it says, in plain lines; None: the standard error of this process,
            where that is open.
        environment: Set beside the environment of this process.

    Raises:
        OSError: It cannot be started.
    """
    variables = {**os.environ, **(environment or {})}
    if output is not None:
        plain = {**variables, "NO_COLOR": "1"}
        return subprocess.Popen(command, stdout=output, stderr=output, pass_fds=tuple(pass_fds), env=plain)
    if sys.__stderr__ is None:  # closed from the start; its number may be that of any file by now
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(command, stdout=nowhere, stderr=nowhere, pass_fds=tuple(pass_fds), env=variables)
    return subprocess.Popen(command, stdout=_STDERR, pass_fds=tuple(pass_fds), env=variables)
