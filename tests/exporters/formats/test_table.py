from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.names import FORMAT_NAMES
from human_edge_detection.exporters.formats.table import FORMATS


def test_every_name_has_its_format_and_files_of_two_formats_never_have_one_name() -> None:
    assert tuple(FORMATS) == FORMAT_NAMES
    suffixes = [one.suffix for one in FORMATS.values() if isinstance(one, ConvertedFormat)]
    assert len({".onnx", *suffixes}) == len(FORMATS)
