"""Python and the packages: what is installed, and whether that is what this package asks for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from packaging.requirements import Requirement

from human_edge_detection import __version__
from human_edge_detection.runs.provenance import git_commit
from human_edge_detection.selfcheck.machine.finding import Finding, ok, problem, warning

_DISTRIBUTION: Final = "human-edge-detection"
_MIN_PYTHON: Final = (3, 11)
_OPENCV: Final = "opencv-python-headless"
_OTHER_OPENCV: Final = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


def examine_packages() -> list[Finding]:
    """Python, this package and everything that it requires."""
    findings = [ok("platform", platform.platform()), check_python(sys.version_info[:3])]
    try:
        required = requires(_DISTRIBUTION) or []
    except PackageNotFoundError:
        text = f"{__version__}, run from its source without being installed; its requirements are not checked"
        return [*findings, warning(_DISTRIBUTION, text, "install it (uv sync)")]
    commit = git_commit()
    findings.append(ok(_DISTRIBUTION, __version__ if commit is None else f"{__version__}, commit {commit[:12]}"))
    findings += [check_requirement(text, installed(Requirement(text).name)) for text in needed(required)]
    findings.append(check_opencv([name for name in _OTHER_OPENCV if installed(name) is not None]))
    return findings


def needed(required: Sequence[str]) -> list[str]:
    """Those of the requirements that count here, one for each package: of an extra, what is installed of it."""
    chosen: dict[str, str] = {}
    for text in required:
        requirement = Requirement(text)
        counts = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if counts or installed(requirement.name) is not None:
            chosen.setdefault(requirement.name, text)
    return list(chosen.values())


def installed(name: str) -> str | None:
    """The installed version of the package ``name``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_python(found: tuple[int, ...]) -> Finding:
    """Whether this Python is new enough."""
    text = ".".join(map(str, found))
    if found < _MIN_PYTHON:
        return problem("python", text, f"install Python {'.'.join(map(str, _MIN_PYTHON))} or newer")
    return ok("python", text)


def check_requirement(required: str, found: str | None) -> Finding:
    """Whether version ``found`` of a package meets ``required``, such as ``"onnx>=1.21"``."""
    requirement = Requirement(required)
    wanted = f"{requirement.name}{requirement.specifier}"
    advice = f"install {wanted} (uv sync, or pip install {wanted!r})"
    if found is None:
        return problem(requirement.name, "not installed", advice)
    if not requirement.specifier.contains(found, prereleases=True):
        return problem(requirement.name, f"{found}, needs {requirement.specifier}", advice)
    return ok(requirement.name, found)


def check_opencv(others: Collection[str]) -> Finding:
    """Whether builds of OpenCV other than the headless one, ``others``, lie over it."""
    name = "one OpenCV"
    if not others:
        return ok(name, "only one build of cv2 is installed")
    more = ", ".join(others)
    return problem(
        name,
        f"{more} beside {_OPENCV}: they overwrite each other's cv2",
        f"pip uninstall {' '.join(others)} {_OPENCV}, then install {_OPENCV} again",
    )
