"""What a caller can mend: each message is one line that says what is wrong, what was expected and what to do."""


class PredictionError(ValueError):
    """Base of all errors of this package."""


class ModelFileError(PredictionError):
    """A model file is missing, damaged or of a kind that is not known."""


class AdapterError(PredictionError):
    """The description of a model is wrong, or does not fit the model, or the model does not give what is asked for."""


class MissingPackageError(PredictionError):
    """An optional package is needed and not installed."""


class ArgumentError(PredictionError):
    """An argument is out of range, or makes no sense with the model."""


class ImageFileError(PredictionError):
    """An image file is missing or cannot be read, or an array is no image."""


class BoxError(PredictionError):
    """Boxes that were given are of the wrong shape, not finite, reversed or outside of the image."""


class SourceError(PredictionError):
    """What is to be predicted on, or a flag that says so, is missing, empty or damaged, or contradicts another."""


class OutputError(PredictionError):
    """A file cannot be written, or is in the way."""
