"""``import human_edge_detection as hed``: what it offers, that it costs nothing, that its examples can be typed."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any

import pytest

import human_edge_detection as hed
from human_edge_detection.api.training import BatchArguments
from human_edge_detection.exporters.onnx import OPSET

FUNCTIONS = sorted(name for name in hed.__all__ if inspect.isfunction(getattr(hed, name)))
OTHERS = {"ClassifierDistillationLoss", "ExperimentConfig", "HumanEdgeDetectionError", "Predictor", "__version__"}

IMPORTED = """
import sys
before = set(sys.modules)
import human_edge_detection as hed
imported = {name for name in set(sys.modules) - before}
assert set(hed.__all__) <= set(dir(hed))
print(*imported, sep="\\n")
"""


def test_it_offers_about_twenty_names_each_explained() -> None:
    assert {*FUNCTIONS} | OTHERS == {*hed.__all__}
    assert 18 <= len(hed.__all__) <= 28
    for name in hed.__all__:
        if not name.startswith("__"):
            assert inspect.getdoc(getattr(hed, name)), name


def test_the_import_loads_nothing_else() -> None:
    """How long it takes is the processor's doing; what it loads is ours: torch takes seconds, pydantic a tenth."""
    ended = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    others = {name.partition(".")[0] for name in ended.stdout.split()} - sys.stdlib_module_names
    assert others == {"human_edge_detection"}
    assert [name for name in ended.stdout.split() if name.startswith("human_edge_detection.")] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        hed.trian  # noqa: B018


def test_a_name_stays_itself_when_modules_are_imported() -> None:
    """A function that is called as a sub-package would be hidden by it, once that is imported."""
    assert OPSET
    assert all(inspect.isfunction(getattr(hed, name)) for name in FUNCTIONS)


def examples(name: str) -> str:
    found = re.search(r"\n *Example:\n(.*?)\s*\Z", getattr(hed, name).__doc__ or "", re.S)
    assert found is not None, f"{name}: no example at the end of its docstring"
    return dedent(found[1])


def calls(code: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "hed":
                yield node.func.attr, node


def arguments_of(function: Callable[..., Any]) -> set[str]:
    """The names that it takes, those of its typed ``**arguments`` too."""
    names = {*inspect.signature(function).parameters}
    return names | {*BatchArguments.__annotations__} if "arguments" in names else names


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_calls_it_with_arguments_that_it_takes(name: str) -> None:
    called = dict(calls(examples(name)))
    assert name in called
    for function, call in called.items():
        taken = arguments_of(getattr(hed, function))
        given = {keyword.arg for keyword in call.keywords}
        assert given <= taken or "changes" in taken, (function, given - taken)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_names_every_argument(name: str) -> None:
    function = getattr(hed, name)
    text = inspect.getdoc(function) or ""
    same = "The arguments are those of" in text or "with the same arguments" in text
    missing = [one for one in arguments_of(function) if one not in text]
    assert not missing or same


@pytest.mark.parametrize("name", ["run_experiments", "preview_experiments"])
def test_an_argument_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="export_onx"):
        getattr(hed, name)("quickstart", export_onx=True)
