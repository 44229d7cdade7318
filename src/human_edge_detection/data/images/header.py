"""The header of an image file of a data set, which is read as that of an image to predict on."""

from human_edge_detection.errors import DataError
from human_edge_prediction import ImageFileError
from human_edge_prediction.images import header
from human_edge_prediction.images.header import ImageHeader


def read_header(content: bytes) -> ImageHeader:
    """:func:`human_edge_prediction.images.header.read_header`.

    Raises:
        DataError: What is raised there as another error; the message lacks its subject.
    """
    try:
        return header.read_header(content)
    except ImageFileError as error:
        raise DataError(str(error)) from None
