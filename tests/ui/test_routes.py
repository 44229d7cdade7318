"""The addresses: what they show of a folder of runs, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_runs import DISTILLED, FAILED, STUDENT, write_report_runs

from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.ui.request import StartRequest
from human_edge_detection.ui.routes import Routes
from human_edge_detection.ui.starts import remember

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., RunPaths]) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "experiments"
    runs = write_report_runs(folder, write_run, images=2, views=1, seeds=1)
    for epoch in (1, 12):
        place = runs[f"{STUDENT}/seed_0"].visualizations(epoch)
        place.mkdir(parents=True)
        (place / "a.png").write_bytes(PNG + bytes([epoch]))
    (place / "secret.txt").write_text("no picture")
    remember(StartRequest(experiment=STUDENT, changes={"training.epochs": "2"}), folder)
    return folder


@pytest.fixture
def routes(output_dir: Path) -> Routes:
    return Routes(output_dir)


def shown(routes: Routes, path: str, **query: str) -> Any:
    answer = routes.get(path, query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def test_the_state_is_what_the_folders_say(routes: Routes, output_dir: Path) -> None:
    state = shown(routes, "state")
    runs = {run["name"]: run for run in state["runs"]}
    assert runs[FAILED]["state"] == "failed"
    assert "not finite" in runs[FAILED]["error"]
    assert runs[f"{DISTILLED}/seed_0"]["state"] == "finished"
    assert state["batch"] is None
    assert state["summary"].startswith("3 of 4 finished")
    (start,) = state["starts"]
    assert start["command"] == f"hed run --configs {STUDENT} --epochs 2 --output_dir {output_dir}"
    assert {model["run"] for model in state["models"]} == {run for run in runs if run != FAILED}


def test_a_folder_that_is_not_there_yet_has_no_runs(tmp_path: Path) -> None:
    state = shown(Routes(tmp_path / "new"), "state")
    assert (state["runs"], state["starts"], state["log"], state["report"]) == ([], [], [], None)
    assert shown(Routes(tmp_path / "new"), "pictures") == []


def test_curves_and_the_latest_pictures_are_shown(routes: Routes) -> None:
    curves = shown(routes, "curves")
    assert f"{DISTILLED}/seed_0" in {run["name"] for run in curves["runs"]}
    assert shown(routes, "pictures") == [{"run": f"{STUDENT}/seed_0", "epoch": 12, "files": ["a.png"]}]
    picture = routes.get("picture", {"run": f"{STUDENT}/seed_0", "file": "a.png"})
    assert (picture.kind, picture.body) == ("image/png", PNG + bytes([12]))


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("picture", {"run": f"{STUDENT}/seed_0", "file": "secret.txt"}),
        ("picture", {"run": f"{STUDENT}/seed_0", "file": "../../config.json"}),
        ("picture", {"run": "..", "file": "a.png"}),
        ("picture", {}),
        ("model", {"run": f"{STUDENT}/seed_0", "file": "best_model.pth"}),
        ("report", {}),
        ("nowhere", {}),
    ],
)
def test_nothing_else_is_given_away(routes: Routes, path: str, query: dict[str, str]) -> None:
    assert routes.get(path, query).status == 404


def test_an_export_is_saved_under_the_name_of_its_run(routes: Routes) -> None:
    model = routes.get("model", {"run": f"{STUDENT}/seed_0", "file": "best_model.onnx"})
    assert model.body == b"onnx"
    assert model.headers == (("Content-Disposition", f'attachment; filename="{STUDENT}_seed_0.best_model.onnx"'),)


def test_the_report_has_no_rights_on_the_page(output_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<html>")
    answer = Routes(tmp_path).get("report", {})
    assert ("Content-Security-Policy", "sandbox allow-scripts") in answer.headers


def test_a_request_is_checked_as_it_is_typed(routes: Routes) -> None:
    asked = {"experiment": STUDENT, "changes": {"training.epochs": "0"}}
    answer = routes.post("check", json.dumps(asked).encode())
    found = json.loads(answer.body)
    assert answer.status == 200
    assert found["wrong"] == ["training.epochs"]
    assert "--epochs (training.epochs)" in found["error"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("start", f'{{"experiment": "{STUDENT}", "changes": {{"data.root": "nowhere"}}}}', "nowhere"),
        ("start", f'{{"experiment": "{STUDENT}", "changes": {{"training.epochs": "0"}}}}', "--epochs"),
        ("start", '{"experiment": "nobody"}', "unknown experiment"),
        ("start", f'{{"experiment": "{STUDENT}", "shell": "ls"}}', "shell"),
        ("start", "[", "Invalid JSON"),
        ("stop", '{"holder": "process 1"}', "no batch works"),
        ("nowhere", "{}", "no such page"),
    ],
)
def test_what_is_refused_is_a_line_and_starts_nothing(output_dir: Path, path: str, body: str, said: str) -> None:
    before = sorted(output_dir.iterdir())
    answer = Routes(output_dir).post(path, body.encode())
    assert answer.status in (400, 404)
    assert said in json.loads(answer.body)["error"]
    assert sorted(output_dir.iterdir()) == before


def test_the_page_brings_all_that_it_needs(routes: Routes) -> None:
    page = routes.get("", {}).body.decode()
    assert "://" not in page
    for name in ("page.css", "page.js"):
        assert name in page
        assert routes.get(name, {}).status == 200
    assert b"drawCurves" in routes.get("page.js", {}).body
