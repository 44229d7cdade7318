"""A model in two files: one that takes the image, and one that takes what the first gives."""

from __future__ import annotations

from collections.abc import Mapping

from human_edge_prediction.adapter import Array
from human_edge_prediction.errors import AdapterError
from human_edge_prediction.runtimes import Runtime


class Chain:
    """Both files as one :class:`~human_edge_prediction.runtimes.Runtime`.

    Attributes:
        inputs: Of the encoder, and those of the decoder that the encoder does not give.
        outputs: Of the decoder.
        provider: What computes.
        metadata: Of the decoder.
        decoder: Itself.
    """

    def __init__(self, encoder: Runtime, decoder: Runtime) -> None:
        """Joins the outputs of the encoder to the inputs of the decoder that are called alike.

        Raises:
            AdapterError: None is.
        """
        self._encoder, self.decoder = encoder, decoder
        given = [info.name for info in encoder.outputs]
        self._passed = [info.name for info in decoder.inputs if info.name in given]
        if not self._passed:
            raise AdapterError(
                f"the encoder gives {', '.join(given)}, and the model takes "
                f"{', '.join(info.name for info in decoder.inputs)}: none is called alike; rename one in its file"
            )
        self.inputs = (*encoder.inputs, *(info for info in decoder.inputs if info.name not in given))
        self.outputs = decoder.outputs
        self.provider = decoder.provider
        self.metadata = decoder.metadata

    def encode(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """What the decoder takes of an image; ``feeds`` are the encoder's."""
        arrays = self._encoder.run(feeds)
        named = {info.name: array for info, array in zip(self._encoder.outputs, arrays, strict=True)}
        return {name: named[name] for name in self._passed}

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs of the decoder; ``feeds`` hold the encoder's inputs, or what :meth:`encode` gave for them."""
        taken = {info.name for info in self._encoder.inputs}
        image = {name: array for name, array in feeds.items() if name in taken}
        others = {name: array for name, array in feeds.items() if name not in taken}
        return self.decoder.run({**others, **self.encode(image)} if image else others)
