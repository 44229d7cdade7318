"""Builds the documentation as a site that opens offline, from README, docs, benchmarks and the changelog as they are.

    uv run --group docs python docs/build_site.py

The pages are read by people on the repository's page too, so their links are those of the repository. Here they are
copied side by side as they lie there, and links to what is no page (a source file, a config) become plain text. A link
to a page or a picture that is not there ends the build with an error.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "build" / "pages"
SOURCES: Final = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "benchmarks", "prediction/README.md")
"""Files, and folders of which all pages and pictures are taken."""
SUFFIXES: Final = frozenset({".md", ".png", ".jpg", ".svg"})
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_CODE: Final = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def files() -> list[Path]:
    """Everything that becomes part of the site, relative to the repository."""
    found: list[Path] = []
    for source in (ROOT / name for name in SOURCES):
        found += sorted(source.rglob("*")) if source.is_dir() else [source]
    return [path.relative_to(ROOT) for path in found if path.is_file() and path.suffix in SUFFIXES]


def page_of(text: str, path: Path, pages: frozenset[Path]) -> str:
    """The page ``path`` with its links as they are on the site.

    Raises:
        ValueError: A link leads nowhere.
    """

    def linked(match: re.Match[str]) -> str:
        picture, title, target, anchor = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match.group()
        place = (ROOT / path.parent / target).resolve()
        if not place.exists():
            raise ValueError(f"{path}: links to {target}, which is not there")
        inside = place.relative_to(ROOT)
        if inside in pages:
            return f"{picture}[{title}]({_on_site(Path(target))}{anchor or ''})"
        return title

    parts = _CODE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(linked, part) for part in parts)


def _on_site(path: Path) -> str:
    """A site begins with ``index.md`` where a folder of the repository begins with ``README.md``."""
    return path.with_name("index.md").as_posix() if path.name == "README.md" else path.as_posix()


def stage() -> None:
    """Copies the pages and pictures to :data:`PAGES`."""
    shutil.rmtree(PAGES, ignore_errors=True)
    found = files()
    for path in found:
        target = PAGES / _on_site(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(page_of((ROOT / path).read_text(), path, frozenset(found)))
        else:
            shutil.copy(ROOT / path, target)


def main() -> int:
    """Stages the pages and builds the site; the exit code of the generator."""
    stage()
    return subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
