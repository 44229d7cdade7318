"""Checks the installed tool in under a minute: ``uv run python test_run_experiments_simple.py``.

It imports the package, lists the experiments, plans the quickstart and trains one tiny run for one epoch in a temporary
folder. One PASS or FAIL line for each; the exit code is 0 when all pass.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TINY = (
    "data.sample={train_images: 4, val_images: 2, image_size: [96, 128]}",
    "data.augmentation=null",
    "model.image_size=[64, 64]",
    "training.batch_size=2",
    "training.visualize_images=0",
)


def run_experiments(*arguments: str) -> str:
    """Output of ``run_experiments.py``; raises when it does not end with 0."""
    command = [sys.executable, str(ROOT / "run_experiments.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"exit code {ended.returncode}: {ended.stderr.strip()[-2000:]}")
    return ended.stdout


def imports(folder: Path) -> None:
    from human_edge_detection.experiments.config_manager import get_config

    get_config("quickstart_student_b0")


def lists_experiments(folder: Path) -> None:
    if "baseline" not in run_experiments("--list_configs"):
        raise RuntimeError("--list_configs does not show 'baseline'")


def plans_quickstart(folder: Path) -> None:
    output = run_experiments("--configs", "quickstart", "--dry_run", "--output_dir", str(folder / "experiments"))
    if "3. quickstart_distilled_b0_from_b3" not in output or list(folder.iterdir()):
        raise RuntimeError("--dry_run does not plan three runs, or writes files")


def trains_one_epoch(folder: Path) -> None:
    runs = folder / "experiments"
    sets = [argument for change in TINY for argument in ("--set", change)]
    run_experiments(
        "--configs", "quickstart_student_b0", "--epochs", "1", "--run_name", "tiny", "--output_dir", str(runs), *sets
    )
    result = json.loads((runs / "tiny" / "result.json").read_text())
    if result["epochs"] != 1 or result["metrics"]["miou"] is None:
        raise RuntimeError(f"result.json is not that of one epoch: {result}")
    if not (folder / "experiment_comparison.csv").is_file():
        raise RuntimeError("no experiment_comparison.csv")


CHECKS: tuple[Callable[[Path], None], ...] = (imports, lists_experiments, plans_quickstart, trains_one_epoch)


def main() -> int:
    """Runs all checks; 0 when all pass."""
    failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(Path(folder))
            except (ImportError, OSError, RuntimeError, KeyError, ValueError) as error:
                failed += 1
                print(f"FAIL {name}: {error}")
            else:
                print(f"PASS {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
