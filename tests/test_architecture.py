"""The rules of the house: layers, sizes, no print, quick start."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "human_edge_detection"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 500, 60
MAY_IMPORT = {
    "files": set(),
    "experiments": {"files"},
    "runs": {"files", "experiments"},
    "advanced": {"files", "experiments"},
    "losses": {"experiments"},
    "metrics": set(),
    "data": {"files", "experiments"},
    "engine": {"files", "experiments", "runs", "advanced", "losses", "metrics", "data"},
    "export": {"files", "experiments", "runs", "advanced", "data", "engine"},
    "runner": {"files", "experiments", "runs", "metrics", "data"},
    "selfcheck": {"files", "experiments", "runs", "data", "engine", "runner"},
    "cli": {"files", "experiments", "runs", "advanced", "data", "engine", "export", "runner", "selfcheck"},
}
"""Part -> parts that it may import, beside itself and the modules that everything may use."""
QUICK = ("files", "experiments", "runs", "runner", "cli")
HEAVY = {"torch", "torchvision", "segmentation_models_pytorch", "timm", "cv2", "onnx", "onnxruntime"}


def part(file: Path) -> str:
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def at_module_level(tree: ast.Module) -> Iterator[str]:
    """Imports that run when the module is imported; those for type checkers alone (``if TYPE_CHECKING``) do not."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)


def test_the_package_is_found() -> None:
    assert len(FILES) > 30
    assert {part(file) for file in FILES} == {"", *MAY_IMPORT}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_house_rules(file: Path) -> None:
    text = file.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= MAX_FILE_LINES
    assert "utils" not in file.stem
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"
    own = part(file)
    for name in imports(tree):
        if own and name.startswith("human_edge_detection."):
            other = name.split(".")[1]
            assert other not in MAY_IMPORT or other == own or other in MAY_IMPORT[own], f"{own} imports {name}"
    if own in QUICK:
        heavy = HEAVY | {"human_edge_detection.structures"}
        assert not [name for name in at_module_level(tree) if name.split(".")[0] in heavy or name in heavy]
