"""The page as a file: what is in it, and what must not be. ``tests/integration/test_report_page.py`` opens it."""

import json
import re
import shutil
import socket
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_up_runs import made_up_counts, write_counted_run
from report_runs import DISTILLED, ERROR, FAILED, STUDENT, TEACHER, write_report_runs

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.files.write import write_json
from human_edge_detection.runner.comparison.runs_by_seed import CountedRun, counted_run
from human_edge_detection.runner.comparison.table import Record
from human_edge_detection.runner.report.page import write_page
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]
VOID = {"meta", "img", "input", "line", "br", "link", "circle", "rect", "path", "polyline"}


class Outline(HTMLParser):
    """Whether elements are closed, which ids there are, and what is where."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.unnamed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if (given.get("href") or "").startswith("#"):
            self.links.append((given["href"] or "")[1:])
        if tag == "img" and given.get("alt") is None:
            self.unnamed.append(tag)
        if tag == "svg" and "aria-hidden" not in given and not given.get("aria-label"):
            self.unnamed.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, write_run: WriteRun) -> Path:
    """Runs, in a folder that is only read."""
    output_dir = tmp_path_factory.mktemp("made") / "experiments"
    write_report_runs(output_dir, write_run)
    return output_dir


@pytest.fixture(scope="module")
def page(made: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(made, output=tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parent, tmp_path / "copy")
    return tmp_path / "copy" / "experiments"


def written(output_dir: Path, **options: object) -> str:
    return write_page(output_dir, **options).path.read_text(encoding="utf-8")  # type: ignore[arg-type]


def section(page: str, name: str) -> str:
    return page.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def data_of(page: str, name: str) -> dict[str, object]:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    content: dict[str, object] = json.loads(found[1])
    return content


def test_it_is_one_well_formed_file_that_fetches_nothing(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.ids) == len({*outline.ids})
    assert {*outline.links} <= {*outline.ids}
    assert outline.unnamed == []
    assert not re.search(r"(?:src|href)=.?(?:https?:)?//", page)
    assert "default-src 'none'" in page
    assert page.isascii() or 'charset="utf-8"' in page


def test_it_says_no_path_host_or_home(page: str, made: Path) -> None:
    for secret in (str(made), str(made.parent), str(Path.home()), f"on {socket.gethostname()}", "somebody"):
        assert secret not in page
    assert "experiments/quickstart_student_b0/seed_0" in section(page, "made")


def test_every_run_has_a_row_and_a_failed_one_its_error(page: str) -> None:
    runs = section(page, "runs")
    assert runs.count("<tr id=") == 6
    assert ERROR in runs
    for name in (TEACHER, f"{STUDENT}/seed_0", f"{DISTILLED}/seed_1", FAILED):
        assert name in runs
    assert "1 failed" in page


def test_gain_and_share_have_intervals_a_control_and_a_verdict(page: str) -> None:
    gains = section(page, "gains")
    assert "validation" in gains
    assert "95 %" in gains
    assert STUDENT in gains
    assert TEACHER in gains
    assert re.search(r'<b>\+0\.0\d{3}</b> <span class="range">[+−]0\.\d{4} to \+0\.\d{4}<', gains)
    assert re.search(r"\d\d\.\d %<small>\d+\.\d % to \d+\.\d %</small>", gains)
    assert "two seeds tell little" in gains


def test_curves_have_every_loss_term_the_schedule_and_the_metrics(page: str) -> None:
    curves = data_of(page, "curve-data")
    groups = {group["title"]: {chart["name"] for chart in group["charts"]} for group in curves["groups"]}  # type: ignore[attr-defined]
    names = set().union(*groups.values())
    assert {"total", "hard", "soft", "main/ce", "kl/main", "learning rate", "temperature", "alpha", "mIoU"} <= names
    assert len(curves["runs"]) == 5  # type: ignore[arg-type]
    assert FAILED in section(page, "curves")


def test_only_what_differs_between_configs_is_shown(page: str) -> None:
    settings = section(page, "settings")
    assert "model.encoder<" in settings
    assert "training.seed" in settings
    assert "<mark>timm-efficientnet-b3</mark>" in settings
    assert "training.weight_decay" not in settings


def test_confusion_slices_and_trade_off_are_there(page: str) -> None:
    assert section(page, "confusion").count("<table") == 6
    assert "2-3 persons" in section(page, "slices")
    assert "small" in section(page, "slices")
    assert section(page, "tradeoffs").count("<figure") == 2


def test_images_are_inside_and_the_header_says_how_many(page: str) -> None:
    found = re.search(r"<strong>(\d+) images of the data are inside", page)
    assert found is not None
    pictures = data_of(page, "pictures")
    assert sum(str(source).startswith("data:image/jpeg") for source in pictures.values()) == int(found[1])
    for title in ("Most improved by distillation", "Worst", "Best"):
        assert title in section(page, "gallery")
    assert {*re.findall(r'data-picture="(\w+)"', page)} <= {*pictures}
    size = re.search(r"one file of (\d+\.\d) MB", page)
    assert size is not None
    assert float(size[1]) == pytest.approx(len(page.encode()) / 1e6, abs=0.06)


def test_without_images_none_is_inside(made: Path, tmp_path: Path) -> None:
    page = written(made, output=tmp_path / "page.html", images=False)
    assert "data:image" not in page
    assert "No images of the data are inside" in page
    assert "000001.jpg" not in page
    assert "train_0001" not in page


def test_the_budget_of_images_holds_and_says_so(made: Path, tmp_path: Path) -> None:
    page = written(made, output=tmp_path / "page.html", max_megabytes=0.03)
    assert sum(len(str(source)) for source in data_of(page, "pictures").values()) < 30_000
    assert "did not fit" in page


def test_names_and_errors_are_text_and_no_markup(copied: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    status = json.loads((copied / FAILED / "status.json").read_text())
    write_json(copied / FAILED / "status.json", status | {"error": evil})
    (copied / FAILED).rename(copied / "a'\"><b>&amp;")
    for name in ("predictions.json", "training_views.json"):
        file = copied / TEACHER / name
        file.write_text(re.sub(r'"file_name":"[^"]*"', '"file_name":"</script><b>.jpg"', file.read_text()))
    metrics = copied / TEACHER / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace("train/main/ce", "train/</script><b>"))
    outline = Outline(page := written(copied))
    assert outline.scripts == 3
    assert page.count("<b>") == page.count("</b>")
    assert "<b>.jpg" not in page
    assert "onerror=alert" not in page.replace("&lt;img src=x onerror=alert(1)&gt;", "")


def test_runs_of_older_versions_and_damaged_files_leave_a_note(copied: Path) -> None:
    for file in copied.rglob("predictions.json"):
        file.unlink()
    for file in copied.rglob("training_views.json"):
        file.write_text("{")
    (copied / TEACHER / "per_image.json").unlink()
    (copied / TEACHER / "metrics.jsonl").write_text("no json\n")
    (copied / TEACHER / "provenance.json").unlink()
    page = written(copied)
    assert "predictions.json is missing" in section(page, "gallery")
    assert "Not recorded (training_views.json)" in section(page, "seen")
    assert "metrics.jsonl is missing, empty or damaged" in section(page, "curves")
    assert "No images of the data are inside" in page


def test_images_without_labels_are_told(copied: Path) -> None:
    run = RunPaths(copied / DISTILLED / "seed_0")
    split = {"images": 9, "persons": 20, "partly_labelled": 0, "terms": {}}
    sources = {"train": split, "val": split, "encoder": None, "unlabelled": 1200}
    write_json(run.result, json.loads(run.result.read_text()) | {"unlabelled": "ab" * 32})
    write_json(run.provenance, json.loads(run.provenance.read_text()) | {"sources": sources})
    assert (
        section(written(copied), "made").count("<dt>images without labels</dt><dd>1,200, sha256 abababababab</dd>") == 1
    )


def test_data_that_have_gone_leave_a_note(copied: Path) -> None:
    shutil.rmtree(copied.parent / "sample_data")
    page = written(copied)
    assert "does not exist" in section(page, "gallery")
    assert str(copied.parent) not in page


def test_runs_without_any_result_make_a_page(tmp_path: Path, write_run: WriteRun) -> None:
    from human_edge_detection.experiments.registry import get_config

    write_run(tmp_path / "experiments" / "a", get_config(STUDENT), state="failed")
    page = written(tmp_path / "experiments")
    assert "out of luck" in page
    assert 'id="gains"' not in page


def test_what_only_the_batch_knew_is_shown_until_the_run_changes(copied: Path) -> None:
    def told(name: str, updated: str | None) -> dict[str, object]:
        return {"run": name, "folder": str(copied.resolve() / name), "status": "skipped", "error": "its teacher failed",
                "updated": updated}  # fmt: skip

    write_json(copied.parent / "experiment_runs.json", [told("gone", None), told(FAILED, "another time")])
    runs = section(written(copied), "runs")
    assert "gone" in runs
    assert runs.count("its teacher failed") == 1
    assert ERROR in runs


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no runs"):
        write_page(tmp_path)


def test_a_page_of_more_runs_than_it_has_room_for_says_so_and_reads_the_counts_of_few(
    tmp_path: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    output_dir = tmp_path / "experiments"
    counts = made_up_counts(images=24)
    for number in range(30):
        config = apply(get_config(STUDENT), collect(sets=[f"training.learning_rate={(number + 1) / 1000}"]))
        name, score = f"run_{number:02d}", {"miou": 0.3 + number / 100}
        if number % 10:
            write_counted_run(write_run, output_dir / name, config, counts, metrics=score)
        else:
            write_run(output_dir / name, config, state="failed")
    for name, most in (("runs.MOST_ROWS", 10), ("page.MOST_ROWS", 10), ("curves.MOST_DETAILED", 6)):
        monkeypatch.setattr(f"human_edge_detection.runner.report.{name}", most)
    for name, most in (("page.MOST_DETAILED", 6), ("gains.MOST_DETAILED", 4), ("charts.MOST_DETAILED", 6)):
        monkeypatch.setattr(f"human_edge_detection.runner.report.{name}", most)
    counted: list[str] = []
    real = counted_run

    def noted(record: Record) -> CountedRun:
        counted.append(record.name)
        return real(record)

    monkeypatch.setattr("human_edge_detection.runner.report.gains.counted_run", noted)
    page = written(output_dir)
    assert Outline(page).open == []
    assert '30 runs, 27 finished, <strong class="bad">3 failed' in page
    runs = section(page, "runs")
    assert runs.count("<tr id=") == 10
    assert "room for 10 of the 30 runs" in runs
    assert "experiment_comparison.csv" in runs
    assert "run_29" in runs and "run_00" in runs and "run_05" not in runs
    assert len(data_of(page, "curve-data")["runs"]) == 5  # type: ignore[arg-type]
    assert "6 of 30 runs" in section(page, "curves")
    assert section(page, "settings").count('<th scope="col"><span') == 6
    assert counted == ["run_26", "run_27", "run_28", "run_29"]
