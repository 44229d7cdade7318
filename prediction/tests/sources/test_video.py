from pathlib import Path

import cv2
import numpy as np
import pytest

from human_edge_prediction.errors import SourceError
from human_edge_prediction.sources.frames import Frame, count_frames, read_frames
from human_edge_prediction.sources.listing import find_sources
from human_edge_prediction.sources.video import Video


def write_video(path: Path, *, frames: int = 6, size: tuple[int, int] = (48, 64), code: str = "mp4v") -> Path:
    """Frames that are red on the left, and brighter from one to the next."""
    height, width = size
    encoder = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 12.5, (width, height))
    for number in range(frames):
        image = np.full((height, width, 3), 6 * number, np.uint8)
        image[:, : width // 2] = (0, 0, 255)
        encoder.write(image)
    encoder.release()
    return path


def turn_right(path: Path) -> None:
    """Makes players turn the video: the matrix of its track header (ISO/IEC 14496-12, 8.3.2) says so."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # of version 0: behind flags, times, id, duration, layer, volume
    one, none = (1 << 16).to_bytes(4), bytes(4)
    content[matrix : matrix + 20] = none + one + none + (-(1 << 16)).to_bytes(4, signed=True) + none
    path.write_bytes(content)


def frames_of(path: Path, failed: list[str]) -> list[Frame]:
    return list(read_frames(find_sources([str(path)]).sources, failed.append))


def test_frames_have_numbers_names_and_the_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    failed: list[str] = []
    frames = frames_of(path, failed)
    assert [frame.name for frame in frames] == [f"clip/{number:06d}" for number in range(6)]
    assert {frame.fps for frame in frames} == {12.5}
    assert frames[0].image[24, 10, 0] > 200 > frames[0].image[24, 10, 2], "RGB"
    assert frames[1].image[24, 50].mean() < frames[5].image[24, 50].mean()
    assert not failed
    assert count_frames(find_sources([str(path)]).sources) == 6


def test_a_video_is_turned_as_it_says(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    turn_right(path)
    with Video(path) as video:
        first = next(iter(video))
    assert first.shape == (64, 48, 3)
    assert first[5, 24, 0] > 200, "left has become top"
    assert first[60, 24, 0] < 60


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42" + bytes(200)])
def test_what_cannot_be_decoded_is_one_line_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    failed: list[str] = []
    assert not frames_of(path, failed)
    assert len(failed) == 1
    assert "is no video that can be decoded" in failed[0]
    assert count_frames(find_sources([str(path)]).sources) == 0
    assert capfd.readouterr() == ("", "")


def test_a_video_that_is_cut_off_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", frames=40, code="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    failed: list[str] = []
    frames = frames_of(path, failed)
    assert 5 < len(frames) < 36
    assert failed == [f"{path}: is cut off or damaged: {len(frames)} of 40 frames can be decoded"]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        Video(tmp_path / "clip.mp4")
