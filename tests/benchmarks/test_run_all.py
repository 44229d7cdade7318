"""What counts as worse, for the nightly benchmarks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import run_all
from run_all import Measured, Row, better, compare, of_script, ratios_of


@pytest.mark.parametrize(
    ("lower_is_better", "measured", "worse", "ok"),
    [
        (False, 1.8, 0.1, True),
        (False, 1.6, 0.2, False),
        (False, 4.0, -1.0, True),
        (True, 2.2, 0.1, True),
        (True, 2.4, 0.2, False),
        (True, 1.0, -0.5, True),
    ],
)
def test_more_than_15_percent_to_the_bad_side_is_not_ok(
    lower_is_better: bool, measured: float, worse: float, ok: bool
) -> None:
    [row] = compare({"a": 2.0}, {"a": Measured(measured, lower_is_better)})
    assert row._replace(worse=None) == Row("a", 2.0, measured, None, ok)
    assert row.worse == pytest.approx(worse)


def test_new_ratios_are_well_and_missing_ones_are_not() -> None:
    rows = compare({"gone": 1.0}, {"new": Measured(3.0)})
    assert rows == [Row("gone", 1.0, None, None, False), Row("new", None, 3.0, None, True)]


def test_the_better_of_two_runs_counts() -> None:
    first = {"up": Measured(1.0), "down": Measured(1.0, lower_is_better=True), "once": Measured(5.0)}
    second = {"up": Measured(2.0), "down": Measured(2.0, lower_is_better=True), "later": Measured(7.0)}
    values = {name: ratio.value for name, ratio in better(first, second).items()}
    assert values == {"up": 2.0, "down": 1.0, "once": 5.0, "later": 7.0}


def test_ratios_are_named_after_their_benchmark() -> None:
    measured = ratios_of("step", {"ratios": {"a / b": 2.0, "c / d": 0.5}, "lower_is_better": ["c / d"]})
    assert measured == {"step: a / b": Measured(2.0), "step: c / d": Measured(0.5, lower_is_better=True)}
    assert ratios_of("step", {}) == {}
    assert of_script({"step: a / b": 2.0, "other: c": 1.0}, "step") == {"step: a / b": 2.0}


def test_a_bad_benchmark_is_run_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = [{"step: a": Measured(1.0)}, {"step: a": Measured(2.0)}, {"step: a": Measured(2.0)}]
    monkeypatch.setattr(run_all, "run_script", lambda *_, **__: outputs.pop(0))
    assert run_all.measure("step", {"step: a": 2.0}, quick=True) == {"step: a": Measured(2.0)}
    assert len(outputs) == 1
    run_all.measure("step", {"step: a": 2.0}, quick=True)
    assert not outputs


def test_the_whole_of_it_with_benchmarks_that_answer_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "answer.json"
    script = "import shutil, sys; shutil.copy(sys.argv[0].replace('growth.py', 'answer.json'), sys.argv[2])"
    (tmp_path / "growth.py").write_text(script)
    monkeypatch.setattr(run_all, "FOLDER", tmp_path)
    monkeypatch.setattr(run_all, "EXPECTED", tmp_path / "expected.json")

    def run(ratio: float, *flags: str, name: str = "exponent") -> int:
        output.write_text(json.dumps({"ratios": {name: ratio}, "lower_is_better": [name]}))
        monkeypatch.setattr(sys, "argv", ["run_all.py", "--quick", "--only", "growth", *flags])
        return run_all.main()

    assert run(1.0) == 0
    assert "nothing is recorded" in capsys.readouterr().out
    assert run(1.0, "--record") == 0
    assert run(1.1) == 0
    assert run(2.0) == 1
    assert "NOT OK" in capsys.readouterr().out
    assert run(1.0, name="slope") == 1  # the exponent is missing
    assert run(1.0, "--record", name="slope") == 0
    assert run(1.0, name="slope") == 0  # and is asked for no more
    (tmp_path / "growth.py").write_text("raise SystemExit(3)")
    assert run(1.0) == 1
    assert run(1.0, "--record") == 1
    (tmp_path / "growth.py").unlink()
    assert run(1.0) == 1
    assert "there is no growth.py" in capsys.readouterr().out


def test_wrong_use_ends_with_2() -> None:
    done = subprocess.run([sys.executable, run_all.__file__, "--fast"], capture_output=True, check=False)
    assert done.returncode == 2
