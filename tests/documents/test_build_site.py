"""The pages of the documentation belong together: every link leads somewhere, in the repository and on the site."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build_site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_link_of_every_page_leads_somewhere(build_site: ModuleType) -> None:
    found = build_site.files()
    assert Path("README.md") in found
    for path in found:
        if path.suffix == ".md":
            build_site.page_of((ROOT / path).read_text(), path, frozenset(found))


def test_links_are_those_of_the_site(build_site: ModuleType) -> None:
    pages = frozenset({Path("README.md"), Path("docs/architecture.md"), Path("docs/report.png")})
    page = "[a](architecture.md#b) [start](../README.md) ![r](report.png) [c](../pyproject.toml) [w](https://x.org)"
    made = build_site.page_of(f"{page}\n```\n[d](nowhere)\n```\n", Path("docs/log.md"), pages)
    assert made == (
        "[a](architecture.md#b) [start](../index.md) ![r](report.png) c [w](https://x.org)\n```\n[d](nowhere)\n```\n"
    )
    with pytest.raises(ValueError, match=r"docs/log\.md: links to gone\.md"):
        build_site.page_of("[d](gone.md)", Path("docs/log.md"), pages)
