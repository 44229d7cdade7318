"""What a contributor is told to run is there, and what is written down twice agrees."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from human_edge_detection import __version__

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/releasing.md", ".github/pull_request_template.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_that_is_named_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    for words in re.findall(r"(?:^ *|`)make ([a-z][^`\n]*)", (ROOT / page).read_text(), re.MULTILINE):
        assert {word for word in words.split() if "=" not in word} <= targets


def test_the_folders_of_the_fast_tests_exist() -> None:
    (fast,) = re.findall(r"^FAST := (.*)", MAKEFILE.replace("\\\n", " "), re.MULTILINE)
    paths = fast.split()
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_citation_has_the_version_of_the_package() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_the_lowest_versions_that_are_tried_are_the_lowest_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = {one.name: one for one in map(Requirement, project["dependencies"])}
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    lowest, _ = workflow["jobs"]["versions"]["strategy"]["matrix"]["include"]
    assert project["requires-python"] == f">={lowest['python']}"
    tried = re.findall(r"([\w-]+)==(\S+)", lowest["install"])
    assert {name for name, _ in tried} == {"torch", "torchvision", "segmentation-models-pytorch", "timm"}
    for name, version in tried:
        (least,) = (one.version for one in requirements[name].specifier if one.operator == ">=")
        assert f"{version}.".startswith(f"{least}.")
