"""Names of experiments and paths of config files, told apart."""

from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import split_config, split_configs


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "mine.json", "Mine.YAML", "a/b/mine.yaml"])
def test_a_path_with_a_suffix_is_a_config_file(name: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert split_config(name) == (None, path)
    assert split_config(str(path.resolve())) == (None, path.resolve())


def test_anything_else_is_a_name_whatever_lies_here() -> None:
    Path("baseline").touch()
    assert split_config("baseline") == ("baseline", None)
    assert split_config("rgb_v2.1") == ("rgb_v2.1", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("configs/mine.yaml", "--config configs/mine.yaml: no such file; .*--list_configs"),
        ("mine.json", "--config mine.json: no such file"),
        ("configs/baseline", r"--config configs/baseline: .* ends in \.yaml, \.yml, \.json"),
        ("a\0b.yaml", "no such file"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        split_config(text)


def test_a_command_line_has_one_config_file() -> None:
    for name in ("a.yaml", "b.yaml"):
        Path(name).touch()
    assert split_configs(["baseline", "a.yaml", "quickstart"]) == (["baseline", "quickstart"], Path("a.yaml"))
    assert split_configs([], Path("b.yaml")) == ([], Path("b.yaml"))
    assert split_configs(["baseline"]) == (["baseline"], None)
    for texts, file in ((["a.yaml", "b.yaml"], None), (["a.yaml"], Path("b.yaml"))):
        with pytest.raises(ConfigError, match=r"a\.yaml and b\.yaml: two config files"):
            split_configs(texts, file)
