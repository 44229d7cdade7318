import signal
import subprocess
import sys
from pathlib import Path

import pytest

from human_edge_detection.cli.children.probe import probe
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import derive
from human_edge_detection.files.write import write_json
from human_edge_detection.runner.probe import REPORT, REQUEST
from human_edge_detection.runs.records import ProbeReport, ProbeRequest, read_section

MEASURES_FOR_EVER = """
import sys, time
from types import ModuleType
probe = ModuleType("probe")
def probe_training(request, folder):
    import logging
    logging.getLogger("human_edge_detection.data").warning("the training says it, too")
    print(request.config.name, flush=True)
    time.sleep(60)
    yield
probe.probe_training = probe_training
sys.modules["human_edge_detection.engine.session.probe"] = probe
from human_edge_detection.cli.main import main
sys.exit(main())
"""


def ask(folder: Path, **data: object) -> None:
    config = derive(get_config("quickstart_student_b0"), name="asked", data=data)
    write_json(folder / REQUEST, ProbeRequest(config=config, batch_sizes=(1,), steps=1).model_dump(mode="json"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    ask(tmp_path)
    command = [sys.executable, "-c", MEASURES_FOR_EVER, "--probe", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "asked\n"
        child.send_signal(number)
        assert child.wait(20) == -number
        assert child.stderr.read() == ""


def test_what_the_user_can_mend_is_reported_and_not_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("human_edge_detection.cli.children.probe.end_at_once", lambda: None)
    ask(tmp_path, root=str(tmp_path / "nowhere"), sample=None)
    assert probe([str(tmp_path)]) == 0
    report = read_section(ProbeReport, tmp_path / REPORT)
    assert report is not None and report.error is not None
    assert (report.probes, "nowhere" in report.error) == ((), True)
    assert capfd.readouterr() == ("", "")
