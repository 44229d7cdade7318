"""One field that a user sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT

NAMES_TEACHER: Final = (
    "distillation",
    TEACHER_CHECKPOINT,
    "distillation.teacher_config",
    "distillation.soft_labels",
)
"""Changes that turn distillation on."""
CONFIG_FILE: Final = "config file"
"""What a file is called in messages that was given to ``--config`` or ``--config_file``; its path follows."""
PYTHON_ARGUMENT: Final = "changes"
"""Where a Python program gives its changes."""


@dataclass(frozen=True)
class Change:
    """One field set by the user.

    Attributes:
        path: Dotted path of a field or section.
        value: Plain value; None turns an optional section off.
        source: What set it, for messages: ``--epochs``, ``--set``, ``config file FILE``, ``changes['data.root']``.
    """

    path: str
    value: Any
    source: str

    @property
    def from_file(self) -> bool:
        """Whether a config file says it, which every flag may override."""
        return self.source.startswith(CONFIG_FILE)

    @property
    def from_python(self) -> bool:
        """Whether a Python program says it, in which there are no flags."""
        return self.source.startswith(f"{PYTHON_ARGUMENT}[")

    def is_below(self, prefixes: Iterable[str]) -> bool:
        """Whether it is of one of these fields, or of a field below one."""
        return any(self.path == prefix or self.path.startswith(f"{prefix}.") for prefix in prefixes)
