"""The pages of the reference are what the code says today."""

import make_reference
import pytest


@pytest.mark.parametrize("name", sorted(make_reference.pages()))
def test_the_page_is_what_the_code_says(name: str) -> None:
    page = (make_reference.FOLDER / name).read_text(encoding="utf-8")
    assert page == make_reference.pages()[name], "run: uv run python docs/make_reference.py"


def test_every_page_is_written_by_the_script() -> None:
    assert {path.name for path in make_reference.FOLDER.glob("*.md")} == make_reference.pages().keys()
