"""The commands as processes: exit codes, one-line errors, how soon they answer."""

import subprocess
import sys
from pathlib import Path

import pytest

from human_edge_detection.cli.main import COMMANDS

IMPORTED = """
import sys
import annotated_types
from pydantic import BaseModel

def packages():
    return {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)

light = packages()
from human_edge_detection.cli.main import main

try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(*(name for name in packages() - light if not name.startswith("_")), file=sys.stderr)
sys.exit(code)
"""
"""A command that says in the end which packages it has imported beside pydantic and the standard library."""

STUDENT = "quickstart_student_b0"


def hed(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "human_edge_detection", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian' (did you mean 'train'?)"),
        (["train", "--config", "baselin"], "unknown experiment 'baselin' (did you mean 'baseline'?)"),
        (["train", "--config", "baseline"], "experiment 'baseline' has no data: give --data_root"),
        (["train", "--bach_size", "3"], "unknown argument --bach_size (did you mean '--batch_size'?)"),
        (["train", "--epoch", "3"], "unknown argument --epoch (did you mean '--epochs'?)"),
        (["train", "--epochs", "many"], "invalid int value: 'many'"),
        (["train", "--device", "tpu"], "--device (training.device): expected auto, cpu, cuda or cuda:N, got 'tpu'"),
        (["train", "--config", STUDENT, "--batch_size", "0"], "--batch_size (training.batch_size): "),
        (["run", "--batch_size", "aut"], "expected a whole number or auto, got 'aut' (did you mean 'auto'?)"),
        (["train", "--config", "baseline", "--batch_size", "auto"], "experiment 'baseline' has no data"),
        (["train", "--config", STUDENT, "--epochs", "-3"], "--epochs (training.epochs): "),
        (["train", "--config", STUDENT, "--set", "training.epoch=3"], "did you mean 'epochs'"),
        (["train", "--config", STUDENT, "--teacher_checkpoint", "no.pth"], "no such file: no.pth"),
        (["train", "--config", STUDENT, "--run_name", "../elsewhere"], "--run_name '../elsewhere'"),
        (["train", "--config", STUDENT, "--resume", "nowhere"], "--resume: no such run folder or checkpoint: nowhere"),
        (
            ["train", "--config", STUDENT, "--init_from", "no.pth"],
            "--init_from (model.init_from): no such file: no.pth",
        ),
        (["train", "--resume", "a", "--init_from", "b"], "--resume: no such run folder or checkpoint: a"),
        (["train", "--config", "quickstart_distilled_b0_from_b3"], "needs the teacher quickstart_teacher_b3"),
        (["run"], "no experiment named"),
        (["run", "--configs", "quickstrt"], "did you mean 'quickstart'"),
        (["run", "--configs", STUDENT, "--seed", "1", "--seeds", "2"], "--seed and --seeds"),
        (["run", "--configs", STUDENT, "--distillation_alpha", "0.5"], "does not distil"),
        (["run", "--configs", "quickstart", "--run_name", "x"], "4 experiments are named"),
        (
            ["run", "--configs", "quickstart", "--resume", "x"],
            "--resume continues one run, and 4 experiments are named",
        ),
        (["compare", "--output_dir", "nowhere"], "no such folder: nowhere"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = hed(*arguments, folder=tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--list_configs"], ["run", "--list_configs"], *([name, "--help"] for name in COMMANDS)],
    ids=" ".join,
)
def test_help_and_lists_answer_at_once(tmp_path: Path, arguments: list[str]) -> None:
    """How long that is depends on the processor, what is imported does not: torch alone takes seconds."""
    command = [sys.executable, "-c", IMPORTED, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert set(ended.stderr.split()) <= {"human_edge_detection", "human_edge_prediction"}


def test_lists_show_every_experiment_with_its_description(tmp_path: Path) -> None:
    output = hed("run", "--list_configs", folder=tmp_path).stdout
    assert "baseline\n    B0 with one plain three-class head." in output
    assert "quickstart (group)" in output


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m human_edge_detection train --list_configs | head -1"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stdout.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_dry_run_shows_changes_and_commands_and_writes_nothing(tmp_path: Path) -> None:
    ended = hed("run", "--configs", "quickstart_distilled_b0_from_b3", "--epochs", "7", "--dry_run", folder=tmp_path)
    assert ended.returncode == 0
    assert "added: quickstart_teacher_b3, " in ended.stdout
    assert "training.epochs: " in ended.stdout
    assert "-> 7" in ended.stdout
    assert "hed train --config quickstart_teacher_b3 " in ended.stdout
    assert list(tmp_path.iterdir()) == []
