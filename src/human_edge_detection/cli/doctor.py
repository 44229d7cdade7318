"""``hed doctor``: what this machine has, what is wrong with it, and whether training works on it."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from human_edge_detection.errors import HumanEdgeDetectionError
from human_edge_detection.wording import printable

if TYPE_CHECKING:
    from human_edge_detection.selfcheck.machine.finding import Finding

_WIDTH: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed doctor``."""
    parser.add_argument(
        "--output_dir", type=Path, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--data_root", type=Path, metavar="DIR", help="also look at these data, as hed train takes them"
    )


def run(args: argparse.Namespace) -> int:
    """Shows every finding; returns 0 when there is no problem, 1 when there is one."""
    from human_edge_detection.files.write import existing_folder
    from human_edge_detection.selfcheck.machine.disk import examine_disk
    from human_edge_detection.selfcheck.machine.memory import examine_memory
    from human_edge_detection.selfcheck.machine.packages import examine_packages
    from human_edge_detection.selfcheck.machine.processor import examine_processor

    found = _show("versions", examine_packages())
    found += _show("machine", [*examine_processor(), *examine_memory(), *_accelerator()])
    found += _show("storage", examine_disk(args.output_dir))
    if args.data_root is not None:
        found += _show("data", _dataset(args.data_root))
    found += _show("self-test, about a minute", [_self_test(existing_folder(args.output_dir))])
    sys.stdout.write(f"\n{conclusion(found)}\n")
    return int(any(finding.status == "problem" for finding in found))


def lines_of(findings: Sequence[Finding], width: int = _WIDTH) -> list[str]:
    """One line for each finding, folded at ``width``, its advice below it."""
    name_width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        head = f"  {finding.status:<7}  {finding.name:<{name_width}}  "
        indent = " " * len(head)
        lines += textwrap.wrap(printable(finding.text), width, initial_indent=head, subsequent_indent=indent)
        if finding.advice:
            lines += textwrap.wrap(f"do: {finding.advice}", width, initial_indent=indent, subsequent_indent=indent)
    return lines


def conclusion(findings: Iterable[Finding]) -> str:
    """How many of which kind."""
    statuses = [finding.status for finding in findings]
    problems, warnings = statuses.count("problem"), statuses.count("warning")
    if not problems:
        return f"no problems, {_count(warnings, 'warning')}"
    return f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _show(title: str, findings: list[Finding]) -> list[Finding]:
    width = max(shutil.get_terminal_size((_WIDTH, 24)).columns, 60)
    sys.stdout.write("\n".join([title, *lines_of(findings, width)]) + "\n")
    sys.stdout.flush()
    return findings


def _accelerator() -> list[Finding]:
    from human_edge_detection.selfcheck.machine.finding import problem

    try:
        from human_edge_detection.selfcheck.machine.accelerator import examine_accelerator
    except (ImportError, OSError) as error:  # OSError: a library of it is missing or of another machine
        return [problem("torch", f"cannot be imported: {error}", "install torch again (uv sync)")]
    return examine_accelerator()


def _dataset(root: Path) -> list[Finding]:
    from human_edge_detection.selfcheck.machine.finding import problem

    try:
        from human_edge_detection.selfcheck.machine.dataset import examine_dataset
    except (ImportError, OSError) as error:
        return [problem("data", f"cannot be read: {error}", "install the packages again (uv sync)")]
    return examine_dataset(root)


def _self_test(folder: Path) -> Finding:
    from human_edge_detection.selfcheck.machine.finding import ok, problem

    try:
        from human_edge_detection.selfcheck.self_test import self_test

        return ok("training", self_test(folder))
    except HumanEdgeDetectionError as error:
        return problem("training", str(error), "mend the problems above; if there are none, please report this")
    except (ImportError, OSError) as error:
        return problem("training", f"cannot start: {error}", "install the packages again (uv sync)")
