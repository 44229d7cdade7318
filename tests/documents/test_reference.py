"""The pages of the reference are what the code says today."""

import make_reference


def test_the_pages_are_what_the_code_says() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in make_reference.FOLDER.glob("*.md")}
    assert written == make_reference.pages(), "run: uv run python docs/make_reference.py"
