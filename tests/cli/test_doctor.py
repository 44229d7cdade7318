"""``hed doctor``: what it shows and how it ends."""

from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.cli.doctor import conclusion, lines_of
from human_edge_detection.cli.main import main
from human_edge_detection.errors import TrainingError
from human_edge_detection.selfcheck import self_test
from human_edge_detection.selfcheck.machine.finding import ok, problem, warning

FINE, SO_SO, BAD = ok("disk", "61 GiB"), warning("threads", "64", "use 8"), problem("GPU", "lost", "find it")


@pytest.fixture
def no_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "self_test", lambda folder: f"trained in {folder.name}")


@pytest.mark.usefixtures("no_self_test")
def test_a_good_machine_is_0_and_nothing_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--output_dir", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    for expected in (
        "torch ",
        "segmentation-models-pytorch ",
        "cores ",
        "memory ",
        "free disk ",
        "locks",
        "trained in",
        "no problems",
    ):
        assert expected in shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_self_test")
def test_data_are_looked_at_when_given(tiny_coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["doctor", "--output_dir", str(tmp_path), "--data_root"]
    assert main([*arguments, str(tiny_coco)]) == 0
    assert "4 validation images with" in " ".join(capsys.readouterr().out.split())
    assert main([*arguments, str(tmp_path / "nowhere")]) == 1
    assert "nowhere does not exist" in " ".join(capsys.readouterr().out.split())


def test_a_training_that_fails_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Any) -> str:
        raise TrainingError("loss is not finite")

    monkeypatch.setattr(self_test, "self_test", fail)
    assert main(["doctor", "--output_dir", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "problem  training  loss is not finite" in shown
    # How many warnings there are is the machine's doing: little free memory, other work beside.
    assert "\n1 problem, " in shown


def test_findings_are_aligned_and_folded() -> None:
    long = warning("threads", "a word " * 12, "use 8")
    assert lines_of([FINE, long], 60) == [
        "  ok       disk     61 GiB",
        "  warning  threads  a word a word a word a word a word a",
        "                    word a word a word a word a word a word",
        "                    a word",
        "                    do: use 8",
    ]


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([FINE], "no problems, 0 warnings"),
        ([FINE, SO_SO], "no problems, 1 warning"),
        ([FINE, SO_SO, SO_SO, BAD], "1 problem, 2 warnings"),
    ],
)
def test_the_conclusion_counts(findings: list[Any], expected: str) -> None:
    assert conclusion(findings) == expected
