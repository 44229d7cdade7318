"""Writes ``docs/reference/*.md`` from the code: config fields, command line, files of a run folder, Python.

    uv run python docs/make_reference.py

``tests/documents/test_reference.py`` fails when the pages in the repository are not what this writes.
"""

from __future__ import annotations

import argparse
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import human_edge_detection as hed
from human_edge_detection.cli.main import COMMANDS, parser_of
from human_edge_detection.experiments.descriptions import meaning_of, one_line, range_of
from human_edge_detection.experiments.flags import FLAGS
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs import per_image, person_maps, records
from human_edge_detection.runs.model_facts import sources, split_scores

FOLDER = Path(__file__).parent / "reference"
_MADE = "<!-- written by docs/make_reference.py: change the code, then run that -->\n"
_IDENTITY = {"no effect": "no", "by content": "by content", "growth": "grows", None: "yes"}


def main() -> None:
    """Writes all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Text of each page by the name of its file."""
    writers: Mapping[str, Callable[[], str]] = {
        "config_fields.md": config_fields,
        "command_line.md": command_line,
        "run_files.md": run_files,
        "python.md": python_functions,
    }
    return {name: f"{_MADE}{writer().rstrip()}\n" for name, writer in writers.items()}


def config_fields() -> str:
    """Every field of an experiment."""
    flags = {flag.path: flag for flag in FLAGS}
    parts = [_paragraph(_CONFIG_INTRODUCTION)]
    for path, section, optional in _sections("", ExperimentConfig):
        rows = []
        for name, field in section.model_fields.items():
            dotted = f"{path}.{name}" if path else name
            kinds = _kinds(field.annotation)
            if kinds and not path:
                continue
            extra = field.json_schema_extra
            # Name and description are texts.
            identity = _IDENTITY[str(extra["identity"]) if isinstance(extra, dict) else None] if path else "no"
            flag = f"`{flags[dotted].name}`" if dotted in flags else ""
            meaning = meaning_of(section, name) or (f"{_sentence(flags[dotted].help)}." if flag else "")
            if name == "kind":
                meaning = "Which one."
            if not meaning:
                raise ValueError(f"{section.__name__}.{name} has no description")
            rows.append((f"`{name}`", _type(field), _default(field), range_of(field), flag, identity, meaning))
        title = f"`{path}`" if path else "the experiment"
        turned_on = f" Off unless it is given; `--set {path}={{}}` turns it on." if optional else ""
        parts.append(f"## {title}\n\n{one_line(section.__doc__ or '')}{turned_on}\n")
        parts.append(_table(("field", "type", "default", "range", "flag", "another run", "what it does"), rows))
    return "\n".join(parts)


def _sections(path: str, section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel], bool]]:
    """``section`` and those below it, as (dotted path, class, whether it may be null)."""
    yield path, section, False
    for name, field in section.model_fields.items():
        dotted = f"{path}.{name}" if path else name
        kinds = _kinds(field.annotation)
        for kind in kinds:
            if len(kinds) > 1:
                yield f"{dotted}: {kind.model_fields['kind'].default}", kind, False
            else:
                optional = field.default is None
                for number, below in enumerate(_sections(dotted, kind)):
                    yield (*below[:2], optional) if number == 0 else below


def _kinds(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a value may be."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _kinds(part)]


def _type(field: FieldInfo) -> str:
    return _type_name(field.annotation)


def _type_name(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if annotation is type(None):
        return "null"
    if _kinds(annotation):
        null = " or null" if type(None) in parts else ""
        return f"list of sections{null}" if origin in (tuple, list) else f"section{null}"
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(part) for part in parts)
    if origin is tuple:
        names = [_type_name(part) for part in parts if part is not Ellipsis]
        return f"list of {names[0]}" if Ellipsis in parts else f"[{', '.join(names)}]"
    if origin in (dict, list):
        return {"dict": "mapping", "list": "list"}[origin.__name__]
    if hasattr(annotation, "__metadata__"):
        return _type_name(parts[0])
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(annotation.__name__, "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return f"`{_plain(field.default)}`"


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, BaseModel):
        kind = getattr(value, "kind", None)
        return "{}" if kind is None else f"{{kind: {kind}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(_plain(one) for one in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def command_line() -> str:
    """Every flag of every command."""
    parts = [_paragraph(_COMMAND_INTRODUCTION)]
    for command, words in COMMANDS.items():
        parts.append(f"## hed {command}\n\n{_sentence(words)}.\n")
        rows = []
        for action in parser_of(command)._actions:  # argparse has no public list of them
            if action.dest == "help":
                continue
            names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{_value_of(action)}`"
            value = f"`{_value_of(action)}`" if action.option_strings and action.nargs != 0 else ""
            text = (action.help or "") % {"default": action.default, "prog": f"hed {command}"}
            rows.append((names, value, text))
        parts.append(_table(("flag", "value", "what it does"), rows))
    return "\n".join(parts)


def _value_of(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    value = ", ".join(map(str, action.choices)) if action.choices is not None else metavar
    return f"{value} ..." if action.nargs in ("+", "*") else value


def run_files() -> str:
    """The JSON files of a run folder, field by field."""
    parts = [_paragraph(_FILES_INTRODUCTION)]
    for file, kinds in _FILES.items():
        for number, kind in enumerate(kinds):
            heading = f"## {file}" if number == 0 else f"### {kind.__name__}"
            rows = [
                (f"`{name}`", _type(field), "" if field.is_required() else _default(field), meaning_of(kind, name))
                for name, field in kind.model_fields.items()
            ]
            parts.append(f"{heading}\n\n{one_line(kind.__doc__ or '')}\n")
            parts.append(_table(("field", "type", "default", "what it is"), rows))
    return "\n".join(parts)


def python_functions() -> str:
    """What ``import human_edge_detection as hed`` has."""
    parts = [_paragraph(_PYTHON_INTRODUCTION)]
    for name in sorted(name for name in hed.__all__ if name.islower() and name[0].isalpha()):  # classes import PyTorch
        thing = getattr(hed, name)
        parts.append(f"## hed.{name}\n\n```text\n{_signature(name, thing)}\n```\n")
        parts.append(f"```text\n{inspect.getdoc(thing) or ''}\n```\n")
    return "\n".join(parts)


def _signature(name: str, function: types.FunctionType) -> str:
    """As in the source: one line, or one a parameter."""
    parameters = inspect.signature(function).parameters.values()
    arguments = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in arguments:
            arguments.append("*")
        arguments.append(re.sub(r": '([^']*)'", r": \1", str(parameter)))
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _paragraph(text: str) -> str:
    return textwrap.dedent(text).strip() + "\n"


_FILES: Mapping[str, tuple[type[BaseModel], ...]] = {
    "status.json": (records.RunStatus,),
    "result.json": (records.RunResult, records.SkippedSample),
    "checkpoints/*.json": (records.CheckpointSummary,),
    "parity.json": (
        records.ParityReport,
        records.ParityTolerances,
        records.ParityCase,
        records.OutputParity,
        records.DetectorParity,
        records.DetectionFigures,
    ),
    "latency.json": (records.LatencyReport,),
    "per_image.json": (per_image.PerImage, per_image.ImageCounts, per_image.RoiCounts),
    "test_scores.json": (split_scores.SplitScores,),
    "predictions.json": (person_maps.Predictions, person_maps.ImageMaps),
    "training_views.json": (person_maps.TrainingViews, person_maps.TrainingView),
    "provenance.json: sources": (
        sources.Sources,
        sources.SplitSource,
        sources.EncoderSource,
    ),
}

_CONFIG_INTRODUCTION = """
    # Config fields

    Every field of an experiment, from the schema that checks it
    (`src/human_edge_detection/experiments/schema/`). A field is set by `--set SECTION.FIELD=VALUE`, in a YAML
    file, or by its flag where it has one; a flag wins over `--set`, and that over a file. Unknown fields,
    other types and values out of range are refused by name. `hed describe NAME` prints all fields of an
    experiment.

    *another run*: whether another value makes another run. *yes*: it does. *no*: it changes nothing that is
    computed. *by content*: what lies at the path counts, not the path. *grows*: a run that is asked for more
    grows. All fields are there since 0.2.0. Sizes are [height, width].
"""
_COMMAND_INTRODUCTION = """
    # Command line

    Every command and flag, from the parsers. `hed` stands for `uv run hed`; `run_experiments.py` is `hed
    run`, `train_advanced.py` is `hed train`. Flags are written in full. A wrong one is refused in one line,
    with exit code 2 ([exit codes](../troubleshooting.md#exit-codes)).
"""
_FILES_INTRODUCTION = """
    # Files of a run folder

    What lies where: [architecture.md](../architecture.md#run-folder). These are the fields of the JSON files.
    They are read strictly: a file with other fields, or numbers out of range, is taken for damaged and named.
    `config.json` has the [config fields](config_fields.md). `metrics.jsonl` and `results.csv` have one row an
    epoch: `train/TERM` means of the terms of the loss before any weight, `train/hard` and `train/soft` the
    two parts of the loss, `train/total` their sum, `train/gradient_share/TERM` shares of the gradient,
    `val/METRIC` metrics of the validation data, and with a teacher `temperature` and `alpha`. A field without
    a text is what its name says, or belongs to the text below it.
"""
_PYTHON_INTRODUCTION = """
    # Python

    The functions of `import human_edge_detection as hed`, from their docstrings; `help(hed.train)` shows the
    same. They print nothing, return typed results and raise `hed.HumanEdgeDetectionError`.
"""

if __name__ == "__main__":
    main()
