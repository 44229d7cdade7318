from pathlib import Path

import pytest

from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.files.cache import cache_folder, read_cached
from human_edge_detection.runs.paths import scan_cache


def test_caches_lie_where_the_user_wants_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder() == tmp_path / "caches" / "human-edge-detection"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "human-edge-detection"
    scans = scan_cache(DataConfig(root="people"))
    assert scans is not None
    assert scans.parent == tmp_path / ".cache" / "human-edge-detection" / "scans"


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nobody)
    assert cache_folder() is None
    assert scan_cache(DataConfig(root="people")) is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": "1"}', '{"a": 1.5}'])
def test_a_damaged_cache_is_as_none(content: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    file.write_text(content)
    assert read_cached(dict[str, int], file) is None
    assert read_cached(dict[str, int], tmp_path / "missing.json") is None
    assert read_cached(dict[str, int], None) is None
    file.write_text('{"a": 1}')
    assert read_cached(dict[str, int], file) == {"a": 1}
