"""A model file that cannot teach: one line, exit code 2, and nothing written, before anything starts."""

from pathlib import Path

import pytest
from foreign_teachers import bright_persons

from human_edge_detection.cli.main import main

TRAIN = ("train", "--config", "quickstart_student_b0", "--drawn_data", "--encoder_weights", "none")
NO_SUCH_OUTPUT = ("kind=person_map", "output.values=probabilities", "output.name=mask")


@pytest.mark.parametrize(
    ("is_model", "described", "words"),
    [
        (True, (), "describe it in model.adapter.json beside it"),
        (False, (), "model.onnx"),
        (True, NO_SUCH_OUTPUT, "has no output 'mask'; it has 'people'"),
    ],
)
def test_it_is_refused_in_the_plan(
    is_model: bool,
    described: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path("model.onnx")
    model.write_bytes(b"no model")
    if is_model:
        bright_persons(model)
    sets = [word for one in described for word in ("--set", f"distillation.external.{one}")]
    assert main((*TRAIN, "--teacher_checkpoint", str(model), *sets)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert out == ""
    assert list(tmp_path.iterdir()) == [tmp_path / model]
