"""What an open model file offers, whatever computes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class TensorInfo(NamedTuple):
    """An input or an output of a model.

    Attributes:
        name: In the file.
        shape: None for a side that is free.
        dtype: Numpy's name.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Runtime(Protocol):
    """An open model file.

    Attributes:
        inputs: That it takes.
        outputs: That it gives.
        provider: What computes.
        metadata: What the file says of itself.
    """

    @property
    def inputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def outputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def provider(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs, in their order, for an array for each input.

        Raises:
            ModelFileError: The model cannot compute them.
        """


def one_line(error: Exception) -> str:
    """What a library says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
