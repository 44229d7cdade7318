from pathlib import Path

import pytest

from human_edge_prediction.sources.names import Found, unique_names


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["x.jpg"], ["x"]),
        (["a/x.jpg", "b/x.jpg"], ["a/x", "b/x"]),
        (["1/a/x.jpg", "2/a/x.jpg"], ["1/a/x", "2/a/x"]),
        (["x.jpg", "x.png"], ["x.jpg", "x.png"]),
        (["a/x.jpg", "a/x.png", "b/x.jpg"], ["a/x.jpg", "a/x.png", "b/x"]),
        (["X.jpg", "x.jpg"], ["X.jpg", "x.jpg_2"]),
        (["A/x.jpg", "a/x.jpg", "y.jpg"], None),
        (["a.b.jpg", "a.jpg"], ["a.b", "a"]),
    ],
)
def test_no_two_are_alike(paths: list[str], expected: list[str] | None) -> None:
    names = unique_names([Found(Path(path), Path(path).name) for path in paths])
    assert len({name.lower() for name in names}) == len(paths)
    if expected is not None:
        assert names == expected


def test_no_name_is_the_folder_of_another() -> None:
    """The frames of the video would lie among what belongs to the image."""
    names = unique_names([Found(Path("clip.mp4"), "clip.mp4"), Found(Path("clip/000001.jpg"), "clip/000001.jpg")])
    assert names == ["clip.mp4", "clip/000001"]
