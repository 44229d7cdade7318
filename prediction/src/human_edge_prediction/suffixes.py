"""Files that can be run, known by their names; imports nothing, so that help and mistakes are told at once."""

from typing import Final

MODEL_SUFFIXES: Final = (".onnx", ".tflite", ".xml")
"""Of the files that can be run as they are."""
MODEL_SUFFIXES_IN_WORDS: Final = f"{', '.join(MODEL_SUFFIXES[:-1])} or {MODEL_SUFFIXES[-1]}"
