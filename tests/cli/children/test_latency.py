import signal
import subprocess
import sys
from pathlib import Path

import pytest

MEASURES_FOR_EVER = """
import sys, time
from types import ModuleType
exports = ModuleType("exports")
exports.measure_exports = lambda runs: (print(*(run.root for run in runs), flush=True), time.sleep(60))
sys.modules["human_edge_detection.benchmarking.exports"] = exports
from human_edge_detection.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", MEASURES_FOR_EVER, "--latency", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "run\n"
        child.send_signal(number)
        assert child.wait(20) == -number
        assert child.stderr.read() == ""
