from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.names import FORMAT_NAMES, FormatName
from human_edge_detection.exporters.formats.table import FORMATS


def test_every_name_has_its_format_and_files_of_two_formats_never_have_one_name() -> None:
    assert tuple(FORMATS) == FORMAT_NAMES
    suffixes = [one.suffix for one in FORMATS.values() if isinstance(one, ConvertedFormat)]
    assert len({".onnx", *suffixes}) == len(FORMATS)


@pytest.mark.parametrize(
    ("name", "ending"),
    [("onnx-float16", ".onnx"), ("onnx-portable", ".onnx"), ("openvino", ".xml"), ("litert", ".tflite")],
)
def test_a_file_of_another_kind_is_refused(name: FormatName, ending: str, tmp_path: Path) -> None:
    one = FORMATS[name]
    assert isinstance(one, ConvertedFormat)
    checkpoint = tmp_path / "best_model.pth"
    assert one.destination_of(checkpoint, None).onnx.name == f"best_model{one.suffix}"
    assert one.destination_of(checkpoint, tmp_path / f"m{ending}").onnx == tmp_path / f"m{ending}"
    with pytest.raises(ConfigError, match=rf"expected a file name that ends in \{ending}$"):
        one.destination_of(checkpoint, tmp_path / "m.pth")
