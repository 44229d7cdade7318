"""Runs all benchmarks one after the other and says which ratio has become worse by more than 15 %.

    uv run python benchmarks/run_all.py --quick            under 5 minutes on two cores
    uv run python benchmarks/run_all.py --quick --record   what was measured is expected from now on

Compared are ratios, never seconds, with those that ``expected.json`` holds for this kind of processor; a kind that
nobody has recorded is said to be so and fails nothing. A benchmark with a ratio that is too bad is run once more, and
the better of both counts. Ends with 0 when all is well, 1 when a ratio is worse or a benchmark failed, 2 for wrong use.

Each benchmark takes ``--output FILE`` and ``--quick``, and its JSON holds ``ratios`` by name and ``lower_is_better``, a
list of those names for which lower is better; for all others higher is.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from measuring import machine

SCRIPTS = ("training_step", "inference", "data_pipeline", "data_scale", "validation", "startup", "growth")
FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "expected.json"
TOLERANCE = 0.15
_LONGEST_SECONDS = 3600
Kind = TypeVar("Kind")


class Measured(NamedTuple):
    """One ratio."""

    value: float
    lower_is_better: bool = False

    def worse_than(self, expected: float) -> float:
        """By how much of ``expected``; negative when it is better."""
        change = self.value / expected - 1
        return change if self.lower_is_better else -change


class Row(NamedTuple):
    """One line of the table; ``worse`` is the share by which it is worse than expected, negative when better."""

    name: str
    expected: float | None
    measured: float | None
    worse: float | None
    ok: bool


def compare(expected: Mapping[str, float], measured: Mapping[str, Measured]) -> list[Row]:
    """A row for each ratio that is expected or measured: new ones are well, missing ones are not."""
    rows = []
    for name in dict.fromkeys([*expected, *measured]):
        before, now = expected.get(name), measured.get(name)
        worse = now.worse_than(before) if before is not None and now is not None else None
        ok = before is None or (worse is not None and worse <= TOLERANCE)
        rows.append(Row(name, before, now.value if now else None, worse, ok))
    return rows


def better(first: Mapping[str, Measured], second: Mapping[str, Measured]) -> dict[str, Measured]:
    """The better of two measurements of each ratio."""
    merged = dict(first)
    for name, ratio in second.items():
        if name not in first or ratio.worse_than(first[name].value) < 0:
            merged[name] = ratio
    return merged


def ratios_of(script: str, result: Mapping[str, Any]) -> dict[str, Measured]:
    """The ratios in the JSON of a benchmark, named after it."""
    lower = set(result.get("lower_is_better", ()))
    ratios = result.get("ratios", {})
    return {f"{script}: {name}": Measured(value, name in lower) for name, value in ratios.items()}


def of_script(ratios: Mapping[str, Kind], script: str) -> dict[str, Kind]:
    """Those of the ratios that ``script`` measures."""
    return {name: ratio for name, ratio in ratios.items() if name.startswith(f"{script}: ")}


def silent(script: str) -> Row:
    """The row of a benchmark that is not there, failed or measured nothing."""
    return Row(f"{script}: no ratios", None, None, None, ok=False)


def run_script(script: str, *, quick: bool) -> dict[str, Measured]:
    """Runs one benchmark, which shows its own table; nothing when it is not there or fails, which is said."""
    path = FOLDER / f"{script}.py"
    if not path.is_file():
        print(f"{script}: there is no {path.name}", flush=True)
        return {}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        command = [sys.executable, str(path), "--output", str(output), *(["--quick"] if quick else [])]
        print(f"== {script}", flush=True)
        started = time.monotonic()
        done = subprocess.run(command, cwd=folder, check=False, stderr=subprocess.PIPE, timeout=_LONGEST_SECONDS)
        if done.returncode != 0:
            print(f"{script} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}", flush=True)
            return {}
        print(f"{script} took {time.monotonic() - started:.0f} s", flush=True)
        return ratios_of(script, json.loads(output.read_bytes()))


def measure(script: str, expected: Mapping[str, float], *, quick: bool) -> dict[str, Measured]:
    """The ratios of one benchmark; run again when one is missing or worse than it may be."""
    measured = run_script(script, quick=quick)
    if all(row.ok for row in compare(expected, measured)):
        return measured
    print(f"{script}: worse than expected; once more")
    return better(measured, run_script(script, quick=quick))


def show(rows: Sequence[Row]) -> None:
    print(f"\n{'ratio':64}{'expected':>10}{'measured':>10}{'change':>9}")
    for row in rows:
        expected, measured = ("-" if value is None else f"{value:.3f}" for value in (row.expected, row.measured))
        change = "new" if row.worse is None else f"{row.worse:+.0%} bad" if row.worse > 0 else f"{-row.worse:.0%} good"
        change = "missing" if row.measured is None else change
        print(f"{row.name:64}{expected:>10}{measured:>10}{change:>10}{'' if row.ok else '  NOT OK'}")


def record(kind: str, form: str, measured: Mapping[str, Measured], all_expected: dict[str, Any]) -> None:
    """Replaces what is expected of the benchmarks that were run, and keeps the others."""
    known = all_expected.setdefault(form, {}).get(kind, {"ratios": {}})["ratios"]
    run = {name.partition(": ")[0] for name in measured}
    kept = {name: ratio for name, ratio in known.items() if name.partition(": ")[0] not in run}
    now = {name: round(ratio.value, 4) for name, ratio in measured.items()}
    all_expected[form][kind] = {"machine": machine(), "ratios": kept | now}
    EXPECTED.write_text(json.dumps(all_expected, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds, under 5 minutes")
    parser.add_argument("--record", action="store_true", help="expect from now on what is measured now")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, metavar="NAME", help="some of them")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(FOLDER.parent / "src"), os.getenv("PYTHONPATH")]))
    kind, form = machine()["kind"], "quick" if args.quick else "full"
    all_expected = json.loads(EXPECTED.read_bytes()) if EXPECTED.is_file() else {}
    known = all_expected.get(form, {}).get(kind)
    expected: dict[str, float] = {}
    measured: dict[str, Measured] = {}
    for script in args.only:
        own = of_script(known["ratios"], script) if known is not None and not args.record else {}
        expected |= own
        measured |= measure(script, own, quick=args.quick)
    rows = compare(expected, measured) + [silent(script) for script in args.only if not of_script(measured, script)]
    show(rows)
    if args.record:
        record(kind, form, measured, all_expected)
        print(f"recorded for {kind}, {form}: {EXPECTED}")
    elif known is None:
        print(f"nothing is recorded for {kind}, {form}; --record does it")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
