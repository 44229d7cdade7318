"""Whatever is wrong with a request: one line that begins with ``error:``, exit code 2, soon, and nothing written."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import nn

from human_edge_detection.cli.main import main
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import MAX_BYTES, read_config_file
from human_edge_detection.experiments.config_manager import get_config, list_configs
from human_edge_detection.experiments.overrides import collect, resolve
from human_edge_detection.experiments.schema.experiment import build_config

CPU_SECONDS = 5.0
"""For a case that takes milliseconds; other work of the machine does not count."""
STUDENT = "quickstart_student_b0"
TRAIN = ("train", "--config", STUDENT)
NOT_UTF8 = os.fsdecode(b"caf\xe9")
Prepare = Callable[[Path], object]


def tree(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def refused(argv: Sequence[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(Path.cwd())
    started = time.process_time()
    code = main(argv)
    seconds = time.process_time() - started
    out, err = capsys.readouterr()
    assert code == 2, err
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert words in err
    assert out == ""
    assert seconds < CPU_SECONDS
    assert tree(Path.cwd()) == before


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def everything_imported() -> None:
    """Imports take seconds once; what is measured is the time to say what is wrong."""
    for module in (
        "engine.session.execute",
        "engine.evaluation.evaluate_checkpoint",
        "exporters.onnx",
        "runner.execution.supervise",
        "runner.execution.report",
    ):
        __import__(f"human_edge_detection.{module}")


def nothing(_: Path) -> None:
    """Nothing is there beforehand."""


def file(name: str, content: str | bytes = "x") -> Prepare:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def loop(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")


def dangling(folder: Path) -> None:
    (folder / "dangling").symlink_to("nowhere")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def folder_(folder: Path) -> None:
    (folder / "folder").mkdir()


def hollow(folder: Path) -> None:
    """A file that says it has five gigabytes."""
    with (folder / "hollow").open("wb") as given:
        given.truncate(5 << 30)


def weights(folder: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), folder / "weights.pth")


NAMES = {
    "empty": "",
    "slash": "a/b",
    "up": "../a",
    "absolute": "/tmp/a",
    "equals": "=a",
    "dot": ".",
    "dots": "..",
    "hidden": ".a",
    "space": "a b",
    "tab": "a\tb",
    "new line": "a\nerror: b",
    "nul": "a\0b",
    "not utf-8": NOT_UTF8,
    "300 characters": "a" * 300,
    "formula": "+1",
    "escape": "\x1b[31m",
    "seed of nothing": "/seed_0",
}
PATH_FLAGS = (
    "--output_dir",
    "--data_root",
    "--config_file",
    "--init_from",
    "--teacher_checkpoint",
    "--pretrained_unet",
)
BAD_PATHS = {"empty": "", "nul": "a\0b", "not utf-8": NOT_UTF8, "new line": "a\nb", "300 characters": "a" * 300}
REQUESTS: dict[str, tuple[Prepare, Sequence[str], str]] = {
    **{
        f"{flag} {name}": (nothing, (*TRAIN, flag, value), flag if name != "300 characters" else "")
        for flag in PATH_FLAGS
        for name, value in BAD_PATHS.items()
    },
    "output_dir is a file": (file("file"), (*TRAIN, "--output_dir", "file"), "file is not a folder"),
    "output_dir below a file": (file("file"), (*TRAIN, "--output_dir", "file/a/b"), "file is not a folder"),
    "output_dir loops": (loop, (*TRAIN, "--output_dir", "loop/a"), "loop is not a folder"),
    "output_dir dangles": (dangling, (*TRAIN, "--output_dir", "dangling"), "dangling is not a folder"),
    "output_dir of a batch": (file("file"), ("run", "--configs", STUDENT, "--output_dir", "file"), "not a folder"),
    "compare a file": (file("file"), ("compare", "--output_dir", "file"), "not a folder"),
    "compare an empty folder": (folder_, ("compare", "--output_dir", "folder"), "holds no runs"),
    "data_root is a file": (file("file"), (*TRAIN, "--data_root", "file"), "is not a folder: file"),
    "data_root loops": (loop, (*TRAIN, "--data_root", "loop"), "no such folder: loop"),
    "data_root dangles": (dangling, (*TRAIN, "--data_root", "dangling"), "no such folder: dangling"),
    "data_root is a pipe": (pipe, (*TRAIN, "--data_root", "pipe"), "is not a folder: pipe"),
    "annotations are a pipe": (
        pipe,
        (*TRAIN, "--train_ann", "pipe", "--val_ann", "pipe", "--train_images", ".", "--val_images", "."),
        "--train_ann (data.train_ann): is not a file: pipe",
    ),
    "resume a loop": (loop, ("train", "--resume", "loop"), "no such run folder or checkpoint: loop"),
    "resume a pipe": (pipe, ("train", "--resume", "pipe"), "not a run"),
    "resume a folder of nothing": (folder_, ("train", "--resume", "folder"), "not a run"),
    "resume nothing": (nothing, ("train", "--resume", ""), "--resume"),
    "resume nul": (nothing, ("train", "--resume", "a\0b"), "--resume"),
    "resume not utf-8": (nothing, ("train", "--resume", NOT_UTF8), "--resume"),
    "init_from a folder": (folder_, (*TRAIN, "--init_from", "folder"), "--init_from"),
    "init_from a pipe": (pipe, (*TRAIN, "--init_from", "pipe"), "--init_from"),
    "teacher is a folder": (
        folder_,
        (*TRAIN, "--teacher_checkpoint", "folder"),
        "folder: a folder in which no run has a best checkpoint",
    ),
    "teacher is a pipe": (pipe, (*TRAIN, "--teacher_checkpoint", "pipe"), "is not a file: pipe"),
    "pretrained_unet loops": (loop, (*TRAIN, "--pretrained_unet", "loop"), "no such file: loop"),
    "encoder_weights loops": (loop, (*TRAIN, "--encoder_weights", "loop"), "no such file or folder: loop"),
    "config unknown": (nothing, ("train", "--config", "basline"), "did you mean 'baseline'"),
    "config not utf-8": (nothing, ("train", "--config", NOT_UTF8), "unknown experiment"),
    "config with a new line": (nothing, ("train", "--config", "a\nb"), "unknown experiment"),
    "config of 100000 characters": (nothing, ("train", "--config", "a" * 100_000), "unknown experiment"),
    "flag with a new line": (nothing, (*TRAIN, "--a\nb", "1"), "unknown argument"),
    "flag not utf-8": (nothing, (*TRAIN, f"--{NOT_UTF8}"), "unknown argument"),
    "command not utf-8": (nothing, (NOT_UTF8,), "unknown command"),
    "command with a new line": (nothing, ("a\nb",), "unknown command"),
    "epochs of 5000 digits": (nothing, (*TRAIN, "--epochs", "9" * 5000), "--epochs"),
    "rate is nan": (nothing, (*TRAIN, "--learning_rate", "nan"), "--learning_rate"),
    "rate is 1e400": (nothing, (*TRAIN, "--learning_rate", "1e400"), "--learning_rate"),
    "seed below zero": (nothing, (*TRAIN, "--seed", "-1"), "--seed"),
    **{
        f"{command} a {name}": (prepare, (command, "--checkpoint", path), words)
        for command in ("evaluate", "export")
        for name, prepare, path, words in (
            ("folder", folder_, "folder", "Not a file"),
            ("pipe", pipe, "pipe", "Not a file"),
            ("loop", loop, "loop", "No such file"),
            ("dangling link", dangling, "dangling", "No such file"),
            ("missing file", nothing, "a.pth", "No such file"),
            ("missing file, not utf-8", nothing, NOT_UTF8, "--checkpoint"),
            ("name with nul", nothing, "a\0b", "--checkpoint"),
            ("file of nothing", file("a.pth", b""), "a.pth", "truncated, or not a checkpoint"),
            ("text", file("a.pth", "hello"), "a.pth", "truncated, or not a checkpoint"),
            ("file of 5 GB", hollow, "hollow", "larger than"),
            ("file of another tool", weights, "weights.pth", "not a checkpoint of this tool"),
        )
    },
}
SETS = {
    "no equals": "training.epochs",
    "no path": "=3",
    "unknown section": "trainin.epochs=3",
    "below a field": "training.epochs.more=3",
    "100000 parts": f"{'a.' * 100_000}a=3",
    "1000 deep": f"training={'{a: ' * 1000}1{'}' * 1000}",
    "100000 brackets": f"data.sample={'[' * 100_000}",
    "not closed": "model.image_size=[96",
    "anchor": "data.sample=&a {seed: 1}",
    "alias": "data.sample=*a",
    "object": "data.sample=!!python/object/apply:os.system [id]",
    "tag": "training.epochs=!!int 3",
    "infinite": "training.learning_rate=.inf",
    "nan": "training.learning_rate=.nan",
    "1e400": "training.learning_rate=1e400",
    "5000 digits": f"training.epochs={'9' * 5000}",
    "base 60": f"training.epochs={'1:' * 50_000}1",
    "date": "training.epochs=2030-01-01",
    "number as key": "data={1: 2}",
    "list as key": "data={[1]: 2}",
    "twice": "data={root: a, root: b}",
    "merge": "data={<<: {root: a}}",
    "two documents": "training.epochs=3\n---\n4",
    "nul": "data.root=a\0b",
    "nul in quotes": 'data.root="a\\0b"',
    "half a character": 'data.root="\\ud800"',
    "not utf-8": f"data.root={NOT_UTF8}",
    "new line": "data.root=|\n a\n b",
    "fixed": "schema_version=2",
    "list for a section": "training=[1]",
    "text for a section": "training=fast",
    "unclosed quote of 100000": f"data.root='{'a' * 100_000}",
}
FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "expected a mapping"),
    "a list": ("- a\n- b\n", "expected a mapping"),
    "a word": ("hello", "expected a mapping"),
    "html": ("<!DOCTYPE html><html></html>", "expected a mapping"),
    "tabs": ("base: x\ntraining:\n\tepochs: 3\n", "line 3"),
    "utf-16": ("base: x\n".encode("utf-16"), "not a YAML or JSON text"),
    "latin-1": ("base: café\n".encode("latin-1"), "not a YAML or JSON text"),
    "nul": (b"base: x\0y\n", "special characters are not allowed"),
    "zeros": (b"\0" * 1000, "special characters are not allowed"),
    "a key twice": ("base: x\nbase: y\n", "line 2: 'base' is given twice"),
    "a number as key": ("base: x\n1: 2\n", "line 2: a key that is no text"),
    "no key": ("base: x\n? \n: 2\n", "a key that is no text"),
    "a list as key": ("base: x\n? [a]\n: b\n", "a key that is no text"),
    "object": ("base: !!python/object/apply:os.system ['touch ran']\n", "line 1: tags are not supported"),
    "object name": ("base: !!python/name:os.system\n", "tags are not supported"),
    "set": ("base: x\ndata: !!set {a, b}\n", "tags are not supported"),
    "binary": ("base: !!binary aGVsbG8=\n", "tags are not supported"),
    "own tag": ("base: !x y\n", "tags are not supported"),
    "date as base": ("base: 2030-01-01\n", "unknown experiment '2030-01-01'"),
    "number as base": ("base: 3\n", "base: expected a name, got 3"),
    "laughs": ("a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "line 1: anchors are not supported"),
    "an alias to nothing": ("base: *a\n", "anchors are not supported"),
    "100000 brackets": ("base: " + "[" * 100_000, "inside each other"),
    "1000 levels": ("".join(f"{' ' * level}a:\n" for level in range(1000)), "inside each other"),
    "300000 values": ("base: x\ndata: [" + "1," * 300_000 + "]\n", "more than 10000 values"),
    "300000 lines": ("a:\n" * 300_000, "more than 10000 values"),
    "too large": (b"#" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
    "infinite": (f"base: {STUDENT}\ntraining: {{learning_rate: .inf}}\n", "training.learning_rate"),
    "1e400": (f"base: {STUDENT}\ntraining: {{learning_rate: 1e400}}\n", "training.learning_rate"),
    "unknown field": (f"base: {STUDENT}\ntraining: {{epoch: 3}}\n", "did you mean 'epochs'"),
    "name with slash": (f"base: {STUDENT}\nname: ../x\n", "name"),
    "name with a new line": (f"base: {STUDENT}\nname: |\n x\n", "name"),
    "name of 300": (f"base: {STUDENT}\nname: {'a' * 300}\n", "name"),
    "half a character": (f'base: {STUDENT}\nname: "\\ud800"\n', "line 2: a text with control characters"),
    "an escape": (f'base: {STUDENT}\ndata: {{"\\e[31m": 1}}\n', "line 2: a text with control characters"),
    "json cut off": ('{"base": "x", "training": {"epochs"', "line 1"),
    "two documents": ("base: x\n---\nbase: y\n", "line 2"),
    "a directive": ("%YAML 9.9\n---\nbase: x\n", "line 1"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare, argv, words = REQUESTS[name]
    prepare(tmp_path)
    refused(argv, words, capsys)


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_run_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused((*TRAIN, f"--run_name={NAMES[name]}"), "--run_name", capsys)


@pytest.mark.parametrize("name", SETS)
def test_a_bad_value(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused((*TRAIN, "--set", SETS[name]), "", capsys)


@pytest.mark.parametrize("name", FILES)
def test_a_bad_config_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = FILES[name]
    file("given.yaml", content)(tmp_path)
    refused(("train", "--config_file", "given.yaml"), words, capsys)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("prepare", "path"),
    [(folder_, "folder"), (pipe, "pipe"), (loop, "loop"), (dangling, "dangling"), (hollow, "hollow")],
)
def test_a_config_file_that_is_none(
    prepare: Prepare, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path)
    refused(("train", "--config_file", path), f"config file {path}: cannot be read (", capsys)


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, tiny_coco: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "experiments").mkdir()
    monkeypatch.setattr(os, "makedirs", read_only)
    monkeypatch.setattr(os, "open", read_only)
    refused((*TRAIN, "--data_root", str(tiny_coco), "--encoder_weights", "none"), "Permission denied", capsys)


def test_a_message_is_written_where_the_terminal_has_no_unicode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "err").open("w", encoding="ascii") as ascii_only:
        monkeypatch.setattr("sys.stderr", ascii_only)
        assert main(("train", "--config", f"käse{NOT_UTF8}")) == 2
    assert "k\\xe4secaf" in (tmp_path / "err").read_text()


def test_a_system_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: object) -> int:
        raise OSError(5, "Input/output error", "some/file")

    monkeypatch.setattr("human_edge_detection.cli.compare.run", fails)
    refused(("compare",), "some/file: Input/output error", capsys)


any_text = st.text(st.characters(exclude_categories=()), max_size=8)  # halves of surrogate pairs too
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(any_text, below, max_size=4),
    max_leaves=12,
)

not_plain = st.sampled_from([b"x", {1}, 1j, Path("x"), {b"x": 1}, {(1, 2): 3}])


def paths(fields: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in fields.items():
        found.append(f"{prefix}{name}")
        if isinstance(value, dict):
            found += paths(value, f"{prefix}{name}.")
    return found


def changed(fields: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    name, _, below = path.partition(".")
    return fields | {name: changed(fields[name], below, value) if below else value}


DISTILLED = next(config for config in list_configs() if config.distillation is not None).model_dump(mode="json")
fuzz = settings(
    derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@fuzz
@given(st.lists(st.tuples(st.sampled_from(paths(DISTILLED)), plain | not_plain), min_size=1, max_size=3))
def test_any_fields_make_a_config_or_an_error(changes: list[tuple[str, Any]]) -> None:
    fields = DISTILLED
    for path, value in changes:
        try:
            fields = changed(fields, path, value)
        except (KeyError, TypeError):  # an earlier change has taken the section away
            continue
    try:
        config = build_config(fields)
    except ConfigError as error:
        assert "Traceback" not in str(error)
    else:
        assert build_config(config.model_dump(mode="json")) == config


PIECES: tuple[str, ...] = (
    "base: baseline",
    "\n",
    " ",
    "  ",
    "\t",
    "- ",
    ": ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "!!int ",
)
PIECES += (
    "!x ",
    "|\n",
    ">-\n",
    "'",
    '"',
    "#",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "<<",
    "=",
    "~",
    "null",
    "training",
    "data",
)
PIECES += (
    "epochs: 3",
    "1e400",
    ".nan",
    "0x1F",
    "1:30",
    "2030-01-01",
    "\x00",
    "\ufeff",
    "\x85",
    "\u2028",
    "é",
    "\U0001f600",
)


@fuzz
@given(st.lists(st.sampled_from(PIECES) | any_text, max_size=12).map("".join))
@example("base: baseline\ntraining: {epochs: 3}\n")
def test_any_text_is_a_config_file_or_an_error(text: str) -> None:
    Path("given.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        config, preset = resolve(None, collect(config_file=Path("given.yaml")))
    except ConfigError:
        return
    assert preset == get_config("baseline")
    assert config.schema_version == 1


@fuzz
@given(st.sampled_from(paths(DISTILLED)), st.lists(st.sampled_from(PIECES) | any_text, max_size=8).map("".join))
def test_any_value_is_set_or_an_error(path: str, text: str) -> None:
    try:
        config, _ = resolve(DISTILLED["name"], collect(sets=[f"{path}={text}"]))
    except ConfigError:
        return
    assert json.loads(config.model_dump_json()) == config.model_dump(mode="json")


@fuzz
@given(plain)
def test_plain_data_written_as_yaml_is_read_back_or_an_error(data: Any) -> None:
    Path("given.yaml").write_text(
        yaml.safe_dump({"base": data}, allow_unicode=True), encoding="utf-8", errors="replace"
    )
    try:
        fields = read_config_file(Path("given.yaml"))
    except ConfigError:
        return
    assert fields.keys() == {"base"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("1e-3", 1e-3),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.5e3", 1500.0),
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("no", False),
        ("2030-01-01", "2030-01-01"),
        ("1:30", "1:30"),
        ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("'3'", "3"),
    ],
)
def test_what_is_no_bad_value_keeps_its_meaning(text: str, value: object) -> None:
    Path("given.yaml").write_text(f"\ufeffdata: {text}\n", encoding="utf-8")
    assert read_config_file(Path("given.yaml")) == {"data": value}
