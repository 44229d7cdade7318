"""Where the data of an experiment come from when it names none."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.overrides import collect, resolve
from human_edge_detection.experiments.registry import get_config, list_groups
from human_edge_detection.runs.data_source import LocatedData, locate_data

FOUR = {"--train_ann": "t.json", "--val_ann": "v.json", "--train_images": "ti", "--val_images": "vi"}


def make_data(root: Path, annotations: str = "instances_{}2017.json", images: str = "{}2017") -> Path:
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        (root / "annotations" / annotations.format(split)).touch()
        (root / images.format(split)).mkdir(parents=True)
    return root


def locate(folder: Path, environment: Mapping[str, str] = {}, **flags: object) -> LocatedData:
    config, _ = resolve("baseline", collect(flags={f"--{name}": value for name, value in flags.items()}))
    return locate_data(config, environment=environment, folder=folder)


@pytest.mark.parametrize("images", ["{}2017", "images/{}2017"])
def test_a_folder_called_data_is_found(tmp_path: Path, images: str) -> None:
    make_data(tmp_path / "data", images=images)
    located = locate(tmp_path, {"HED_DATA_ROOT": ""})
    assert {path: new for path, (_, new) in difference(located.config, get_config("baseline")).items()} == {
        "data.root": "data"
    }
    assert located.said == "data: ./data, as neither --data_root nor HED_DATA_ROOT is given"
    assert located.config.description == get_config("baseline").description


def test_the_variable_comes_first(tmp_path: Path) -> None:
    make_data(tmp_path / "data")
    elsewhere = str(make_data(tmp_path / "elsewhere", "instances_{}_person.json", "images/{}"))
    located = locate(tmp_path, {"HED_DATA_ROOT": elsewhere})
    assert (located.config.data.root, located.said) == (elsewhere, f"data: {elsewhere} (HED_DATA_ROOT)")
    assert locate(tmp_path, {"HED_DATA_ROOT": "elsewhere"}).config.data.root == "elsewhere"


def test_a_variable_that_leads_to_no_data_is_an_error_though_there_are_others(tmp_path: Path) -> None:
    make_data(tmp_path / "data")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(ConfigError, match="HED_DATA_ROOT=gone: no such folder; mend it, or give --data_root DIR"):
        locate(tmp_path, {"HED_DATA_ROOT": "gone"})
    with pytest.raises(ConfigError, match=r"HED_DATA_ROOT=hollow: .*no train annotations; tried annotations"):
        locate(tmp_path, {"HED_DATA_ROOT": "hollow"})


@pytest.mark.parametrize("there", [False, True])
def test_without_data_one_line_says_all_ways_to_give_them(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "data").mkdir()
    with pytest.raises(ConfigError) as caught:
        locate(tmp_path)
    message = str(caught.value)
    ways = ("--data_root DIR", "HED_DATA_ROOT", "./data", "hed prepare-data", "--drawn_data")
    assert all(way in message for way in ways), message
    assert ("no train annotations" if there else "(no such folder)") in message
    assert "\n" not in message


@pytest.mark.parametrize("name", list_groups()["quickstart"])
def test_presets_with_data_of_their_own_never_look(tmp_path: Path, name: str) -> None:
    config = get_config(name)
    located = locate_data(config, environment={"HED_DATA_ROOT": "gone"}, folder=make_data(tmp_path))
    assert located == (config, "data: 96 + 32 drawn pictures (training + validation), seed 0")


def test_what_a_flag_names_is_used(tmp_path: Path) -> None:
    make_data(tmp_path / "data")
    assert locate(tmp_path, data_root="r").said == "data: r"
    drawn = locate(tmp_path, drawn_data=True)
    assert (drawn.config.data.sample is not None, drawn.config.data.root) == (True, None)
    four = locate(tmp_path, {}, **{flag.removeprefix("--"): value for flag, value in FOUR.items()})
    assert four.said == "data: t.json, images in ti; validation: v.json, vi"
    assert four.config.data.root is None
