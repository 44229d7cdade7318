"""Every command line, flag, field, experiment and link in the documents is one that there is. Nothing is run.

Lines of ``hed`` and of the scripts are given to the parsers that users meet, and what they change to the schema. A word
in capitals stands for something of the user's.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from documents import DOCUMENTS, ROOT, anchors_of, blocks_of, commands_of, links_of, spans_of
from human_edge_detection.cli.arguments.experiment import Parser
from human_edge_detection.cli.main import COMMANDS, parser_of
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import read_config_file
from human_edge_detection.experiments.config_manager import list_configs, list_groups
from human_edge_detection.experiments.flags import FLAGS
from human_edge_detection.experiments.named import resolve_given
from human_edge_detection.experiments.overrides import NO_OVERRIDES, collect

SCRIPTS = {"run_experiments.py": "run", "train_advanced.py": "train"}
SHELL_SCRIPT = "run_distillation_training.sh"
SHORT_FLAGS = {
    "--temperature": "--distillation_temperature",
    "--alpha": "--distillation_alpha",
    "--config-name": "--config",
}
"""Of the shell script, and what it makes of them."""
OTHERS = frozenset(
    {*("cd", "make", "npm", "tar", "source", "pip", "train", "git", "{", "}", "uv", "-c", "-"), "human-edge-prediction"}
    | {"ray", "torchrun"}
)
"""Commands of other programs; ``train`` is a function of a block in the log."""
FOREIGN_FLAGS = frozenset(
    {*("--group", "--extra", "--no-project", "--project", "--package", "--isolated", "--with"), "--prefix", "--standby"}
    | {"--help", "--version"}
)
"""Flags of uv, npm and of a batch to its children."""
UV_FLAGS_WITH_VALUE = ("--group", "--extra", "--with", "--project")


@cache
def experiments() -> frozenset[str]:
    return frozenset({*(config.name for config in list_configs()), *list_groups()})


@cache
def parser(command: str) -> Parser:
    return parser_of(command)


@cache
def all_flags() -> frozenset[str]:
    flags = {flag for command in COMMANDS for flag in parser(command)._option_string_actions}
    scripts = "".join(file.read_text(encoding="utf-8") for file in scripts_with_flags())
    return frozenset(flags | set(re.findall(r'"(--[a-z][a-z0-9_-]*)"', scripts)) | SHORT_FLAGS.keys() | FOREIGN_FLAGS)


def scripts_with_flags() -> Iterator[Path]:
    for folder in ("benchmarks", "examples", "docs"):
        yield from (ROOT / folder).glob("*.py")
    yield ROOT / "examples" / "browser" / "bundle.mjs"


def stands_for_something(name: str) -> bool:
    """``FOLDER``, ``NAME``: what the reader puts in."""
    return name.upper() == name or "NAME" in name


def check(words: list[str], own_names: frozenset[str]) -> None:
    """Raises, or asserts, where a command could not be given as it is written."""
    if words[:2] == ["uv", "run"]:
        words = words[2:]
        while words and words[0].startswith("--"):
            words = words[2 if words[0] in UV_FLAGS_WITH_VALUE else 1 :]
    program, *argv = words
    if program in ("python", "python3"):
        program, *argv = argv
    if program == "hed":
        check_hed(argv[0], argv[1:], own_names)
    elif program == "-m" and argv[0] == "human_edge_prediction":
        parser("predict").parse(argv[1:])
    elif program.removeprefix("./") == SHELL_SCRIPT:
        argv = [SHORT_FLAGS.get(word, word) for word in argv]
        check_hed("run", argv if "--config" in argv else ["--config", "quickstart", *argv], own_names)
    elif program in SCRIPTS:
        check_hed(SCRIPTS[program], argv, own_names)
    elif program.endswith(".py"):
        text = (ROOT / program).read_text(encoding="utf-8")
        assert not [word for word in argv if word.startswith("--") and f'"{word.split("=")[0]}"' not in text], program
    elif program == "torchrun":
        check(["python", *argv[[word.startswith("-") for word in argv].index(False) :]], own_names)
    elif program == "pytest":
        assert not [word for word in argv if word.startswith("tests/") and not (ROOT / word.split("::")[0]).exists()]
    elif program == "uv" and argv[:1] == ["sync"]:
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert all(re.search(rf"(?m)^{extra} = \[", project) for extra in argv[1:] if not extra.startswith("--"))
    else:
        assert program in OTHERS, f"unknown command {program}"


def check_hed(command: str, argv: list[str], own_names: frozenset[str]) -> None:
    assert command in COMMANDS, f"hed {command}"
    if argv in (["--help"], ["-h"]):
        return
    args = vars(parser(command).parse(argv))
    flags = {
        flag.name: args.get(flag.destination) for flag in FLAGS if not isinstance(args.get(flag.destination), Path)
    }
    changes = collect(sets=args.get("sets", ()), flags=flags)
    named = args.get("configs") or [args["config"]] if args.get("configs") or args.get("config") else []
    for name in named:
        if name in own_names or stands_for_something(name) or (command == "describe" and not name):
            continue
        if name in list_groups():
            assert changes is not None
        elif name.endswith((".yaml", ".yml", ".json")):
            assert (ROOT / name).is_file(), f"no file {name}"
            resolve_given(Path(name) if Path(name).is_absolute() else ROOT / name, changes)
        else:
            resolve_given(name, changes)
    if not named:
        resolve_given("rgb_hierarchical_unet_v2_distillation_b0_from_b3", changes)


def check_fragment(words: list[str], own_names: frozenset[str]) -> None:
    """As :func:`check`, of a command that a sentence names with some of its arguments."""
    try:
        check(words, own_names)
    except ConfigError as error:
        if not re.search("are required|expected (one|at least one) argument", str(error)):
            raise


def own_names(document: str) -> frozenset[str]:
    """Experiments and files of the reader's own that the document makes: derived in Python, or shown as YAML."""
    blocks = [block.text for block in blocks_of(document)]
    names = {name for text in blocks for name in re.findall(r'name="([\w.+-]+)"|^name: ([\w.+-]+)', text, re.MULTILINE)}
    files = re.findall(r"([\w/]+\.ya?ml)", "\n".join(blocks) + "\n".join(spans_of(document)))
    return frozenset({one for pair in names for one in pair} | {file for file in files if not (ROOT / file).exists()})


@pytest.mark.parametrize("document", DOCUMENTS)
def test_fenced_commands_are_accepted(document: str) -> None:
    own = own_names(document)
    for block in blocks_of(document):
        if block.language not in ("bash", "sh", "shell"):
            continue
        for words in commands_of(block.text):
            try:
                check(words, own)
            except (ConfigError, AssertionError) as error:
                pytest.fail(f"{block.place}: {' '.join(words)}: {error}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_flags_in_text_are_known(document: str) -> None:
    wrong = []
    for span in spans_of(document):
        if span.startswith("hed ") and (words := span.split())[1] not in COMMANDS and words[1].islower():
            wrong.append(span)
        if span.startswith(("hed ", "uv run ")) and " --" in span and "..." not in span:
            for words in commands_of(span):
                check_fragment(words, own_names(document))
        if span.startswith(("--", "hed ", "uv run")):
            wrong += [flag for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", span) if flag not in all_flags()]
    assert not wrong


@pytest.mark.parametrize("document", DOCUMENTS)
def test_fields_in_text_can_be_set(document: str) -> None:
    """``--set a.b=c`` in code spans."""
    for span in spans_of(document):
        for given in re.findall(r"--set (\S+=\S.*?)(?= --|$)", span):
            if "..." in given or re.search(r"=[A-Z]+$", given):
                continue
            collect(sets=shlex.split(given)[:1])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_experiments_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"\b(?:rgb_hierarchical_unet_v2|peopleseg_unet|quickstart)_[\w]*\w(?![\w*{.+]|\.\.)", text)
    known = {name.split("+")[0] for name in experiments()}
    assert not {name for name in found if name not in known and not any(one.startswith(f"{name}_") for one in known)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_yaml_blocks_are_experiments(document: str, tmp_path: Path) -> None:
    for number, block in enumerate(blocks_of(document)):
        if block.language != "yaml":
            continue
        file = tmp_path / f"block_{number}.yaml"
        file.write_text(block.text, encoding="utf-8")
        base = read_config_file(file).get("base")
        assert base in experiments(), f"{block.place}: base {base!r}"
        resolve_given(file, NO_OVERRIDES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_anchors_of_links_are_headings(document: str) -> None:
    """That the pages themselves are there, test_build_site.py tests."""
    broken = []
    for link in links_of(document):
        path, _, anchor = link.partition("#")
        target = ((ROOT / document).parent / path).resolve() if path else ROOT / document
        if anchor and target.suffix == ".md" and anchor not in anchors_of(str(target.relative_to(ROOT))):
            broken.append(link)
    assert not broken


def test_a_wrong_flag_is_found() -> None:
    with pytest.raises(ConfigError, match="--epoch "):
        check(["uv", "run", "hed", "train", "--config", "baseline", "--epoch", "3"], frozenset())
    with pytest.raises(ConfigError, match="temprature"):
        check(["hed", "train", "--config", "baseline", "--set", "distillation.temprature=3"], frozenset())
    with pytest.raises(ConfigError, match="base_line"):
        check(["hed", "run", "--configs", "base_line"], frozenset())
