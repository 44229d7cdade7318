"""Checkpoints of a run that other runs name, so that they are kept: teachers and starting weights by epoch."""

from __future__ import annotations

import re

from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.strict_json import MAX_BYTES
from human_edge_detection.runs.paths import RunPaths, output_dir_of


def named_checkpoints(run: RunPaths) -> set[str]:
    """File names of the epoch checkpoints of ``run`` that a config.json beside it names; unreadable ones name none."""
    output_dir = output_dir_of(run)
    name = re.escape(run.root.relative_to(output_dir).as_posix().encode())
    pattern = re.compile(rb"[\"/]" + name + rb"/checkpoints/(checkpoint_epoch_\d+\.pth)\"")
    found: set[str] = set()
    for config in (*output_dir.glob("*/config.json"), *output_dir.glob("*/seed_*/config.json")):
        try:
            content = read_regular_file(config, max_bytes=MAX_BYTES)
            found.update(match.decode() for match in pattern.findall(content))
        except OSError:
            continue
    return found
