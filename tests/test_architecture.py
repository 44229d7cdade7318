"""The rules of the house: layers, no cycles, quick starts, sizes, mirrored tests, no print."""

import ast
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "human_edge_detection"
FILES = sorted(PACKAGE.rglob("*.py"))
PREDICTION = ROOT / "prediction"
"""The second distribution, which predicts without torch; here it is a package like numpy."""
PREDICTION_FILES = sorted((PREDICTION / "src").rglob("*.py"))
ALL_FILES = sorted(
    [
        *ROOT.glob("*.py"),
        *(
            file
            for top in ("src", "tests", "benchmarks", "docs", "examples", "prediction")
            for file in (ROOT / top).rglob("*.py")
        ),
    ]
)
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FOLDER_FILES = 500, 60, 15

FOUNDATION = (
    "console",
    "errors",
    "files",
    "limits",
    "load",
    "log",
    "morphology",
    "signals",
    "streams",
    "structures",
    "threads",
    "wording",
)
DOORS = ("__init__", "__main__")
"""Modules that may import everything, as nothing in the package imports them, but for ``__version__``."""
MAY_IMPORT: Mapping[str, tuple[int, set[str]]] = {
    **dict.fromkeys(FOUNDATION, (0, set())),
    "experiments": (1, set()),
    "runs": (1, {"experiments"}),
    "advanced": (2, {"experiments"}),
    "losses": (2, {"experiments"}),
    "metrics": (2, set()),
    "data": (2, {"experiments"}),
    "engine": (3, {"experiments", "runs", "advanced", "losses", "metrics", "data"}),
    "exporters": (3, {"experiments", "runs", "advanced", "data", "engine"}),
    "runner": (4, {"experiments", "runs", "metrics", "data"}),
    "selfcheck": (4, {"experiments", "runs", "data", "engine", "runner"}),
    "benchmarking": (4, {"experiments", "runs", "metrics", "data", "engine", "exporters", "runner"}),
    "api": (
        5,
        {"benchmarking", "experiments", "runs", "advanced", "data", "engine", "exporters", "runner", "selfcheck"},
    ),
    "ui": (6, {"api", "experiments", "runs", "runner"}),
    "cli": (
        6,
        {"api", "benchmarking", "experiments", "runs", "data", "engine", "exporters", "runner", "selfcheck", "ui"},
    ),
}
"""Part -> its layer, and the parts that it may import beside itself and the foundation."""
SETTINGS = {
    f"experiments.schema.{name}" for name in ("heads", "encoders", "decoders", "base", "data", "loss", "distillation")
}
"""What the parts of layer 2 take: tables of heads, encoders, decoders, and sections of the schema; no experiment."""
QUICK = ("__init__", "files", "experiments", "runs", "runner", "api", "ui", "cli")
HEAVY = {
    "torch",
    "torchvision",
    "segmentation_models_pytorch",
    "timm",
    "cv2",
    "onnx",
    "onnxruntime",
    "human_edge_prediction",
}

LIGHT = {f"human_edge_prediction.{name}" for name in ("description_reader", "errors", "suffixes")}
"""Of the package for prediction: words about models, which import nothing heavy."""

WITHOUT_MIRROR = ("contract", "documents", "integration", "golden", "stress", "benchmarks", "examples", "support")
SEVERAL_MODULES = {
    "advanced/distillation_terms/test_term_values.py": "every term against numbers worked out by hand",
    "engine/teaching/test_soft_label_store.py": "what lies in a folder of soft labels",
    "runner/backends/test_contract.py": "what every backend keeps to",
    "selfcheck/machine/test_checks.py": "a table of what each check finds",
}
"""Tests of a whole folder, and why they are not in the files of its modules."""


def module_name(file: Path) -> str:
    """Dotted, below the package: ``engine.build``; a package is called as its folder."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(file): file for file in FILES}


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def statements(node: ast.AST, *, running_at_import: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports below ``node``; those for type checkers alone, and at will those inside functions, left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        elif not (running_at_import and isinstance(child, ast.FunctionDef)):
            yield from statements(child, running_at_import=running_at_import)


def names(imports: Iterable[ast.AST]) -> Iterator[str]:
    """What is imported, by full name: ``from a import b`` is ``a.b`` where that is one of our modules, else ``a``."""
    for node in imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            for alias in node.names:
                below = f"{module}.{alias.name}"
                yield below if below.removeprefix("human_edge_detection.") in MODULES else module


def own(imported: Iterable[str]) -> set[str]:
    """Our modules among what is imported."""
    found = {
        name.removeprefix("human_edge_detection.") for name in imported if name.startswith("human_edge_detection.")
    }
    assert found <= MODULES.keys(), found - MODULES.keys()
    return found


@cache
def at_import(module: str) -> frozenset[str]:
    """Full names of what runs when ``module`` is imported, the packages that it lies in among them."""
    parts = module.split(".")
    packages = ["__init__", *(".".join(parts[:depth]) for depth in range(1, len(parts)))]
    imported = names(statements(parsed(MODULES[module]), running_at_import=True))
    return frozenset([*imported, *(f"human_edge_detection.{package}" for package in packages)])


def part(module: str) -> str:
    return module.split(".")[0]


def test_the_package_is_found() -> None:
    assert len(FILES) > 30
    assert {part(module) for module in MODULES} - {*DOORS} == MAY_IMPORT.keys()


def test_the_table_points_downwards() -> None:
    for layer, allowed in MAY_IMPORT.values():
        assert all(MAY_IMPORT[other][0] <= layer for other in allowed)
    siblings = [allowed - {"experiments"} for layer, allowed in MAY_IMPORT.values() if layer == 2]
    assert not any(siblings), "parts never see each other"


@pytest.mark.parametrize("module", [module for module in MODULES if MAY_IMPORT.get(part(module), (0,))[0] == 2])
def test_parts_see_their_own_settings_and_no_config(module: str) -> None:
    imported = {name for name in own(names(ast.walk(parsed(MODULES[module])))) if part(name) == "experiments"}
    assert imported <= SETTINGS


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_part_may(module: str) -> None:
    if module in DOORS:
        return
    allowed = {part(module), *FOUNDATION, *MAY_IMPORT[part(module)][1]}
    if part(module) in FOUNDATION:
        allowed = {*FOUNDATION}
    imported = own(names(ast.walk(parsed(MODULES[module]))))  # wherever they are, those for type checkers too
    assert not {name for name in imported if part(name) not in allowed}


def find_cycle(edges: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def folder(module: str) -> str:
    """The sub-package of a module; the files directly in a package are a node of their own, named after it."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def test_a_cycle_is_found() -> None:
    assert not find_cycle({"a": {"b", "c"}, "b": {"c"}})
    assert {*find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})} == {"a", "b", "c"}


@pytest.mark.parametrize("node", [str, folder], ids=["modules", "sub-packages"])
def test_there_is_no_cycle(node: Callable[[str], str]) -> None:
    edges: dict[str, set[str]] = {}
    for module, file in MODULES.items():
        imported = own(names(statements(parsed(file), running_at_import=False)))
        if "." in module:
            edges.setdefault(node(module), set()).update(node(other) for other in imported if "." in other)
    assert not find_cycle({name: others - {name} for name, others in edges.items()})


def chain_to_heavy(module: str) -> list[str]:
    """A way from ``module`` to something heavy; empty when there is none."""
    seen, ways = {module}, [[module]]
    for way in ways:
        imported = at_import(way[-1])
        if heavy := sorted(name for name in imported - LIGHT if name.split(".")[0] in HEAVY):
            return [*way, heavy[0]]
        new = own(imported) - seen
        seen |= new
        ways += [[*way, other] for other in sorted(new)]
    return []


@pytest.mark.parametrize("module", [module for module in MODULES if part(module) in QUICK])
def test_what_starts_quickly_loads_nothing_heavy_on_whatever_way(module: str) -> None:
    assert not chain_to_heavy(module)


def test_a_heavy_import_is_found_on_a_long_way() -> None:
    way = chain_to_heavy("engine.session.execute")
    assert way[-1].split(".")[0] in HEAVY
    assert all(other in own(at_import(one)) for one, other in pairwise(way[:-1]))


@pytest.mark.parametrize("file", [*FILES, *PREDICTION_FILES], ids=lambda file: str(file.relative_to(ROOT)))
def test_house_rules(file: Path) -> None:
    assert "utils" not in file.stem
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"


@pytest.mark.parametrize("file", ALL_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_is_too_long(file: Path) -> None:
    assert file.read_text(encoding="utf-8").count("\n") <= MAX_FILE_LINES


def test_no_folder_is_too_full() -> None:
    counts = {place: len([*place.glob("*.py")]) for place in {file.parent for file in (*FILES, *PREDICTION_FILES)}}
    assert not {place: count for place, count in counts.items() if count > MAX_FOLDER_FILES}


def test_each_test_has_the_module_that_it_tests() -> None:
    tests = [file.relative_to(ROOT / "tests") for file in (ROOT / "tests").glob("*/**/test_*.py")]
    mirrored = {test for test in tests if test.parts[0] not in WITHOUT_MIRROR}
    unmatched = {test for test in mirrored if not (PACKAGE / test.parent / test.name.removeprefix("test_")).is_file()}
    assert {test.as_posix() for test in unmatched} == SEVERAL_MODULES.keys()
    modules = {file.relative_to(PREDICTION / "src" / "human_edge_prediction").as_posix() for file in PREDICTION_FILES}
    tests = [file.relative_to(PREDICTION / "tests") for file in (PREDICTION / "tests").rglob("test_*.py")]
    assert {(test.parent / test.name.removeprefix("test_")).as_posix() for test in tests} <= modules


def declared_by(folder: Path) -> set[str]:
    """Names of the distributions that a pyproject.toml asks for, its extras included."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    return {Requirement(text).name.lower().replace("_", "-") for text in (*project["dependencies"], *extras)}


@pytest.mark.parametrize(
    ("folder", "files", "own_name"),
    [(ROOT, FILES, "human_edge_detection"), (PREDICTION, PREDICTION_FILES, "human_edge_prediction")],
    ids=["human_edge_detection", "human_edge_prediction"],
)
def test_what_is_imported_is_declared(folder: Path, files: list[Path], own_name: str) -> None:
    """So the small distribution imports nothing of the full one, and no torch."""
    declared = declared_by(folder)
    imported = {
        name.split(".")[0] for file in files for name in names(statements(parsed(file), running_at_import=False))
    }
    distributions = {
        **packages_distributions(),
        "human_edge_prediction": ["human-edge-prediction"],  # installed editable, it does not say so
        "human_edge_detection": ["human-edge-detection"],
        "ai_edge_litert": ["ai-edge-litert"],  # of extras, which need not be installed
        "openvino": ["openvino"],
        "ray": ["ray"],
        "submitit": ["submitit"],
    }
    for name in imported - {own_name, *sys.stdlib_module_names}:
        found = {one.lower().replace("_", "-") for one in distributions[name]}
        assert found & declared, f"{name} comes from {found}"


def test_the_small_distribution_asks_for_no_torch_and_not_for_the_full_one() -> None:
    assert declared_by(PREDICTION) == {"numpy", "opencv-python-headless", "onnxruntime", "ai-edge-litert", "openvino"}
