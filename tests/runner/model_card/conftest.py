"""A made-up run of a student with all that a run folder may say."""

from pathlib import Path
from typing import Any

import pytest
from carded_runs import DISTILLED, METRICS, SOURCES, STUDENT, MakeRun
from made_up_runs import WriteRun, made_up_counts, write_counted_run

from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.files.write import write_json
from human_edge_detection.runner.model_card import facts as facts_module
from human_edge_detection.runner.model_card.facts import Facts
from human_edge_detection.runs.checkpoint_config import CheckpointHead
from human_edge_detection.runs.paths import RunPaths


@pytest.fixture
def make_run(tmp_path: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """``make_run(name, experiment, *sets, sources=None, skill=0.8)``: a finished run below tmp_path/experiments."""

    def make(
        name: str, experiment: str = STUDENT, *sets: str, sources: Any = None, skill: float = 0.8, **result: Any
    ) -> RunPaths:
        config = apply(get_config(experiment), collect(sets=["data.root=/home/somebody/people", *sets]))
        root = tmp_path / "experiments" / name
        metrics = {**METRICS, **result.pop("metrics", {})}
        paths = write_counted_run(
            write_run, root, config, made_up_counts(skill=skill), metrics=metrics, best_epoch=2, **result
        )
        contents = {"encoder_weights": "e" * 64, "train_annotations": "a" * 64, "val_annotations": "b" * 64}
        write_json(paths.contents, contents)
        command = ["/home/somebody/venv/bin/hed", "train", "--data_root", "/home/somebody/people"]
        made_with = {"command": command, "precision": "fp32", "versions": {"torch": "2.15.0"}}
        write_json(paths.provenance, made_with | ({} if sources is None else {"sources": sources}))
        heads[paths.best] = CheckpointHead(config, 2, metrics, "data")
        return paths

    heads: dict[Path, CheckpointHead] = {}
    monkeypatch.setattr(facts_module, "head_of_checkpoint", heads.__getitem__)
    return make


@pytest.fixture
def facts(make_run: MakeRun) -> Facts:
    """Of a distilled run that wrote everything down."""
    return facts_module.facts_of(make_run("distilled", DISTILLED, sources=SOURCES).best)
