"""A file of an albumentations pipeline, as ``A.save`` and ``A.to_dict`` write it, becomes the pipeline or one line.

The file names classes and their arguments and nothing else: a name must be that of a transform of albumentations
itself, and transforms that take functions are refused, so no code comes from the file.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.files.plain_yaml import line_of, parse_value, problem_of
from human_edge_detection.files.read import file_sha256, read_regular_file

if TYPE_CHECKING:
    import albumentations

FIELD: Final = "data.augmentation.pipeline"
_MAX_BYTES: Final = 1_000_000
_VERSIONS: Final = "2.0."
"""How the version begins that is MIT-licensed and has been tried; see docs/decisions/0019."""
_CLASS: Final = "__class_fullname__"
_AGAIN: Final = 'write it with albumentations.save(albumentations.Compose([...]), FILE, data_format="yaml")'
_REFUSED: Final[Mapping[str, str]] = {
    "Lambda": "calls a function, which no file can hold",
    "ReplayCompose": "records what it did, which is done here anyway; use Compose",
    **dict.fromkeys(
        ("Normalize", "ToFloat", "FromFloat", "ToTensorV2"),
        "images stay uint8 RGB, as the model normalises them itself; leave it out",
    ),
    **dict.fromkeys(("ToTensor3D", "Transform3D"), "is for volumes; leave it out"),
}
_OURS: Final[Mapping[str, str]] = {
    "bbox_params": "boxes are those of the changed masks",
    "keypoint_params": "there are no keypoints",
    "additional_targets": "image, masks and boxes are all there is",
}
"""Arguments of a Compose that would be for other targets -> why they are refused."""
NOT_BUILT: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, UserWarning)
"""What transforms raise for arguments that they do not take."""


def load_albumentations() -> Any:
    """The module ``albumentations``, imported without its look-up for a newer version on the network.

    Raises:
        ConfigError: It is not installed, or with another version or licence.
    """
    if importlib.util.find_spec("albumentations") is None:
        raise ConfigError(
            f"{FIELD} needs albumentations, which is not installed; uv sync --inexact --extra albumentations, or "
            "pip install 'albumentations>=2.0.8,<2.1'"
        )
    try:
        found = version("albumentations")
    except PackageNotFoundError:  # its successor has modules of the same name
        found = "of another distribution (AlbumentationsX?)"
    if not found.startswith(_VERSIONS):
        raise ConfigError(
            f"{FIELD}: albumentations {found} is installed, expected {_VERSIONS}*; pip install "
            "'albumentations>=2.0.8,<2.1'"
        )
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    return albumentations


def fingerprint(path: Path) -> str:
    """What views by the pipeline in a file depend on: the sha256 of the file, and the version of albumentations."""
    return f"{file_sha256(path)}, albumentations {version('albumentations')}"


def build_pipeline(path: Path) -> tuple[albumentations.Compose, list[tuple[str, albumentations.BasicTransform]]]:
    """The pipeline in a file, ready for an image, its masks and its boxes (pixels; with ``labels``).

    Returns:
        The pipeline, and each of its transforms with where it stands, such as ``transforms.1.transforms.0: Blur``.

    Raises:
        ConfigError: The file cannot be read, is no pipeline, names an unknown transform or one that does not fit, or
            gives one an argument that it does not take; or albumentations is not installed.
    """
    module = load_albumentations()
    root = _read(path)
    name = _name_of(root, path, "")
    if name != "Compose":
        raise ConfigError(f"{FIELD} {path}: expected a Compose, got {name}; {_AGAIN}")
    if unknown := sorted(root.keys() - {_CLASS, "transforms", "p", "is_check_shapes", *_OURS}):
        raise ConfigError(f"{FIELD} {path}: outermost Compose: no use for {', '.join(unknown)}; leave it out")
    leaves: list[tuple[str, Any]] = []
    transforms = _build_all(module, root, path, "", leaves)
    if not leaves:
        raise ConfigError(f"{FIELD} {path}: no transform in it; give one or more, or null for the built-in views")
    return compose_of(transforms, _probability(root, path)), leaves


def compose_of(transforms: Sequence[Any], probability: float = 1.0) -> albumentations.Compose:
    """Transforms one after the other, of ``image``, ``masks`` and ``bboxes`` in pixels with their ``labels``."""
    from albumentations import BboxParams, Compose

    boxes = BboxParams("pascal_voc", label_fields=["labels"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Got processor for bboxes")  # transforms of pixels leave boxes alone
        return Compose(list(transforms), bbox_params=boxes, p=probability, save_applied_params=True)


def arguments_of(transform: albumentations.BasicTransform) -> dict[str, Any]:
    """The arguments of a transform, as a file has them."""
    return {name: value for name, value in transform.to_dict_private().items() if name != _CLASS}


def _read(path: Path) -> Mapping[str, Any]:
    """The outermost transform of a file, as plain values."""
    try:
        content = parse_value(read_regular_file(path, max_bytes=_MAX_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{FIELD} {path}: cannot be read ({error.strerror}); give a YAML or JSON file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{FIELD} {path}: not a YAML or JSON text; {_AGAIN}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{FIELD} {path}{line_of(error)}: {problem_of(error)}; {_AGAIN}") from error
    root = content.get("transform") if isinstance(content, Mapping) else None
    if not isinstance(root, Mapping):
        raise ConfigError(f"{FIELD} {path}: not a pipeline of albumentations, which has 'transform'; {_AGAIN}")
    return root


def _name_of(node: Mapping[str, Any], path: Path, place: str) -> str:
    name = node.get(_CLASS)
    if not isinstance(name, str):
        raise ConfigError(f"{FIELD} {path}: {place or 'transform'}: no {_CLASS}; {_AGAIN}")
    return name.removeprefix("albumentations.").rpartition(".")[2] if name.startswith("albumentations.") else name


def _probability(node: Mapping[str, Any], path: Path) -> float:
    value = node.get("p", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{FIELD} {path}: p of the Compose: expected a number from 0 to 1, got {value!r}")
    return float(value)


def _build_all(
    module: Any, node: Mapping[str, Any], path: Path, place: str, leaves: list[tuple[str, Any]]
) -> list[Any]:
    """The transforms below ``node``; those that hold no others are added to ``leaves``, in the order of the file."""
    for argument, why in _OURS.items():
        if node.get(argument):
            raise ConfigError(f"{FIELD} {path}: {place}{argument}: {why}; leave it null")
    below = node.get("transforms")
    if not isinstance(below, Sequence) or not all(isinstance(one, Mapping) for one in below):
        raise ConfigError(f"{FIELD} {path}: {place}transforms: expected a list of transforms; {_AGAIN}")
    return [_build(module, one, path, f"{place}transforms.{number}", leaves) for number, one in enumerate(below)]


def _build(module: Any, node: Mapping[str, Any], path: Path, place: str, leaves: list[tuple[str, Any]]) -> Any:
    name = _name_of(node, path, place)
    subject = f"{FIELD} {path}: {place}: {name}"
    if name in _REFUSED:
        raise ConfigError(f"{subject}: {_REFUSED[name]}")
    known = dict(_transforms_of(module))
    if name not in known:
        raise ConfigError(f"{subject}: no transform of albumentations {module.__version__}{did_you_mean(name, known)}")
    arguments = {key: value for key, value in node.items() if key != _CLASS}
    if arguments.get("fill_mask"):
        raise ConfigError(f"{subject}: fill_mask is {arguments['fill_mask']!r}, expected 0: it is nobody's pixel")
    holds_others = issubclass(known[name], module.BaseCompose)
    if holds_others:
        arguments["transforms"] = _build_all(module, node, path, f"{place}.", leaves)
        arguments = {key: value for key, value in arguments.items() if key not in _OURS}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="Argument")  # one that would be ignored
            transform = known[name](**arguments)
    except NOT_BUILT as error:
        raise ConfigError(f"{subject}: {one_line(error)}") from error
    if not holds_others:
        leaves.append((f"{place}: {name}", transform))
    return transform


def _transforms_of(module: Any) -> Iterator[tuple[str, type]]:
    """The public classes of albumentations that are transforms, or hold some."""
    for name in dir(module):
        found = getattr(module, name)
        if isinstance(found, type) and issubclass(found, module.BasicTransform | module.BaseCompose):
            yield name, found


def one_line(error: BaseException) -> str:
    """What an error of albumentations says, without pydantic's frame around it."""
    kept = [line.strip() for line in str(error).splitlines() if "validation error" not in line]
    return " ".join(line for line in kept if line and not line.startswith("For further")) or type(error).__name__
