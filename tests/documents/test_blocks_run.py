"""Every block of shell or Python in the documents is run, or carries a mark that says why not.

The blocks of README, ``docs/`` and ``prediction/README.md`` are what a reader copies. They are run in one folder,
document by document, as one reader would; numbers are smaller (:func:`shortened`), words in capitals are filled in.
Benchmarks, log and decisions are records of what was once run, and are not.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from documents import DOCUMENTS, ROOT, Block, blocks_of, commands_of
from human_edge_detection.data.drawn.data_set import write_drawn_data

RECORDS = ("benchmarks/", "docs/log.md", "docs/decisions/", "examples/")
FIRST = "docs/knowledge_distillation_guide.md"
"""Trains what others go on with."""
COPIED = sorted((one for one in DOCUMENTS if not one.startswith(RECORDS)), key=lambda one: (one != FIRST, one))
FILLED_IN = {"FOLDER": "people", "RUN": "quickstart_distilled_b0_from_b3"}
TRAINING = ("run", "train", "soft-labels")
SCRIPTS = {"run_experiments.py": "run", "train_advanced.py": "train"}
DROPPED = re.compile(
    r"--(?:epochs|total_epochs|batch_size|cache_views) \d+|--seeds(?: \d+)+|--export_onnx|--set model\.image_size=\S+"
)
SMALL = (
    "--epochs 1 --batch_size 2 --num_workers 0 --encoder_weights none --precision fp32 "
    "--set training.visualize_images=1 "
    "--set model.image_size=[64,64] --set model.roi_size=[16,12] --set model.mask_size=[32,24]"
)
SMALL_DRAWN = "--set data.sample.train_images=4 --set data.sample.val_images=2"


def to_run(document: str) -> list[Block]:
    return [block for block in blocks_of(document) if block.language in ("bash", "python") and block.not_run is None]


def shortened(command: str, arguments: str) -> str:
    """Arguments of a training with smaller numbers, without what other tests export; of other commands as they are."""
    if command not in TRAINING:
        return arguments
    views = " --cache_views 1" if "--cache_views" in arguments else ""
    return f"{DROPPED.sub('', arguments)} {SMALL}{views} {SMALL_DRAWN if 'quickstart' in arguments else ''}"


def child_of(words: list[str]) -> list[str]:
    """The process that a command of a document is, here."""
    words = [FILLED_IN.get(word, word) for word in words]
    words = words[2:] if words[:2] == ["uv", "run"] else words
    words = words[1:] if words[0] == "python" else words
    if words[0] == "hed" or words[0] in SCRIPTS:
        command, arguments = (words[1], words[2:]) if words[0] == "hed" else (SCRIPTS[words[0]], words[1:])
        given = shlex.split(shortened(command, shlex.join(arguments)))
        return [sys.executable, "-m", "human_edge_detection", command, *given]
    return [sys.executable, *words]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a clone has, and images of people in ``people`` and ``data``."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("configs", "examples", *SCRIPTS):
        (folder / name).symlink_to(ROOT / name)
    for name in ("people", "data"):
        write_drawn_data(folder / name, train_images=4, val_images=2, image_size=(96, 96))
    return folder


def run(child: list[str], folder: Path, place: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    environment.pop("HED_DATA_ROOT", None)
    done = subprocess.run(child, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{place}: {shlex.join(child)}\n{(done.stdout + done.stderr)[-3000:]}"


def test_marks_are_of_blocks_that_could_run() -> None:
    """A mark before another kind of block, or with nothing after it, would be forgotten there."""
    for document in COPIED:
        marked = [block for block in blocks_of(document) if block.not_run is not None]
        marks = re.findall(r"^<!-- not run: ", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
        assert len(marked) == len(marks), document
        assert {block.language for block in marked} <= {"bash", "python", "text"}, document


@pytest.mark.slow
@pytest.mark.parametrize("document", [document for document in COPIED if to_run(document)])
def test_the_blocks_run(document: str, folder: Path) -> None:
    for block in to_run(document):
        if block.language == "python":
            run([sys.executable, "-c", block.text], folder, block.place)
            continue
        for words in commands_of(block.text):
            if "prepare-data" in words and (folder / "data").exists():
                words = ["prepared" if word == "data" else word for word in words]
            run(child_of(words), folder, block.place)
