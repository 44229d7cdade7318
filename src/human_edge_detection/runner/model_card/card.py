"""The card as Markdown: a page that somebody reads before using the model."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from human_edge_detection import __version__
from human_edge_detection.experiments.registry import list_configs
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.runner.comparison.control import changed_fields
from human_edge_detection.runner.comparison.significance import Interval
from human_edge_detection.runner.model_card.facts import MAIN_METRICS, Facts
from human_edge_detection.runner.model_card.front_matter import LIBRARY, front_matter
from human_edge_detection.runner.model_card.limits import limits_of
from human_edge_detection.runner.model_card.terms import UNKNOWN, image_terms, short, starting_weights, stated_terms
from human_edge_detection.runs.model_facts.split_scores import SplitScores
from human_edge_detection.runs.model_facts.usage import detector_outputs_of, inputs_of, outputs_of
from human_edge_detection.runs.paths import detector_path
from human_edge_detection.runs.records import LatencyReport, ParityReport
from human_edge_detection.wording import printable

MARK: Final = f"library_name: {LIBRARY}"
"""In the front matter of every card."""
_VERSIONS: Final = ("torch", "segmentation-models-pytorch")


def card_of(facts: Facts, *, file: str, parity: ParityReport | None, latency: LatencyReport | None) -> str:
    """The whole card.

    Args:
        facts: What is known of the model.
        file: Name of the ONNX file that is given boxes.
        parity: What its export measured; None: unknown.
        latency: How long it takes; None: unknown.
    """
    sections = (
        ("", _what(facts)),
        ("How good it is", _scores(facts)),
        ("How fast it is", _speed(latency)),
        ("What it cannot do", [f"- {limit}" for limit in limits_of(facts)]),
        ("Terms", _terms(facts)),
        ("Inputs and outputs", _usage(facts, file)),
        ("How it was made", _making(facts, parity)),
    )
    texts = ["\n".join(([f"## {title}", ""] if title else []) + list(lines)) for title, lines in sections]
    return f"{front_matter(facts)}\n# {facts.config.name}\n\n" + "\n\n".join(texts) + "\n"


def _what(facts: Facts) -> Iterator[str]:
    config, result = facts.config, facts.result
    if config.model.head == "none":
        yield "Tells for each pixel of an image how likely it shows a person."
    elif config.model.detector is None:
        yield "Segments persons: the mask of each person whose box it is given, and a map of all persons."
    else:
        yield "Finds persons and segments them: a box, a score and a mask of each, and a map of all persons."
    size = "" if result is None else f", {result.total_parameters / 1e6:.1f} million parameters"
    yield f"Encoder `{config.model.encoder}`{size}."
    if config.distillation is None:
        yield "It learned from annotations alone; nobody taught it."
    else:
        yield f"It is a student, distilled from {_teacher(facts)}."


def _teacher(facts: Facts) -> str:
    result = facts.result
    if result is not None and result.teacher_kind is not None:
        name = printable(result.teacher_experiment or UNKNOWN)
        return (
            f"`{name}`, an external teacher of kind `{printable(result.teacher_kind)}` ({short(result.teacher_sha256)})"
        )
    if result is None or result.teacher_encoder is None:
        return "a teacher of which nothing is known here"
    size = "" if result.teacher_parameters is None else f", {result.teacher_parameters / 1e6:.1f} million parameters"
    name = printable(result.teacher_experiment or UNKNOWN)
    more = " and others" if "+" in (result.teacher_sha256 or "") else ""
    return f"`{name}`{more} (`{printable(result.teacher_encoder)}`{size}, {short(result.teacher_sha256)})"


def _scores(facts: Facts) -> Iterator[str]:
    if not facts.metrics:
        yield "Unknown: it was never validated."
        return
    if facts.tested is not None:
        tested = {name: value for name, value in facts.tested.metrics.items() if value is not None}
        yield from _score_table("on a test split", tested, facts.test_intervals)
        yield ""
        yield (
            f"Nothing was trained or chosen on these {facts.tested.images:,} images with {facts.tested.persons:,} "
            f"persons (annotations {short(facts.tested.data_fingerprint)}).{_seen(facts.tested)}"
        )
        yield ""
    yield from _score_table("on the validation split", facts.metrics, facts.intervals)
    yield ""
    epochs = facts.config.training.epochs if facts.result is None else facts.result.epochs
    yield (
        f"Epoch {facts.epoch} of {epochs}, the best one on this very split: expect less on new images. Intervals come "
        "from resampled images (bootstrap)" + ("." if facts.intervals else ", and are unknown here.")
    )
    result = facts.result
    if result is not None and result.teacher_miou and "miou" in facts.metrics:
        share = facts.metrics["miou"] / result.teacher_miou
        yield f"Its teacher's mIoU on the same images is {result.teacher_miou:.3f}; it reaches {share:.0%} of that."
    if facts.gain is not None:
        found = facts.gain.difference
        known = found.low is not None and found.high is not None
        between = f" (95 % interval {found.low:+.3f} to {found.high:+.3f})" if known else ""
        yield (
            f"Over `{printable(facts.gain.control)}`, the same training without a teacher, it gains {found.mean:+.3f} "
            f"{facts.gain.metric}{between}: {found.verdict}. One seed each."
        )


def _score_table(where: str, metrics: Mapping[str, float], intervals: Mapping[str, Interval]) -> Iterator[str]:
    rows = []
    for name, text in MAIN_METRICS.items():
        if name in metrics:
            interval = intervals.get(name)
            rows.append((text, f"{metrics[name]:.3f}", _range(*interval) if interval else "–"))
    return _table((where, "score", "95 % interval"), rows)


def _seen(tested: SplitScores) -> str:
    """Which of the test images the model has seen after all."""
    common = [f"{count:,} of them are also in {name}" for name, count in tested.also_in.items() if count]
    return f" But {' and '.join(common)}: these scores say little." if common else ""


def _speed(latency: LatencyReport | None) -> Iterator[str]:
    if latency is None:
        yield "Unknown: it was not measured. `hed benchmark` measures it on your device."
        return
    height, width = latency.image_size
    boxes = "" if latency.rois is None else f" with {latency.rois} boxes"
    threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
    yield (
        f"{latency.median_ms:.1f} ms for an image of {height} × {width} pixels{boxes} (median; 95 % of the calls below "
        f"{latency.p95_ms:.1f} ms; {latency.cpu_ms:.1f} ms of processor time) on {printable(latency.processor)}, "
        f"{threads}, ONNX Runtime. `hed benchmark` measures it on your device."
    )


def _terms(facts: Facts) -> Iterator[str]:
    stated = stated_terms(facts)
    yield f"Terms of this model: {stated or 'unknown, nobody has stated them'}."
    yield ""
    images = image_terms(facts)
    if facts.is_drawn:
        yield "- Training images: drawn by human-edge-detection itself (MIT); nobody's photographs."
    elif images is None or {*images} == {UNKNOWN}:
        yield "- Terms of the training images: unknown; the annotation file says nothing, or nobody wrote it down."
    else:
        yield "- Terms of the training images, as the annotation file has them:"
        yield from (f"  - {count:,} {'image' if count == 1 else 'images'}: {text}" for text, count in images.items())
    yield f"- Weights that its training started from: {starting_weights(facts)}."
    if facts.config.distillation is not None:
        yield "- Its teacher learned from images and weights of its own: see the teacher's card."


def _usage(facts: Facts, file: str) -> Iterator[str]:
    model = facts.config.model
    height, width = model.image_size
    yield f"`{file}`, image_size {height} × {width}{_mask_size(model)}:"
    yield ""
    rows = [("in", name, text) for name, text in inputs_of(model).items()]
    rows += [("out", name, text) for name, text in outputs_of(model).items()]
    yield from _table(("", "name", "what it is"), [(way, f"`{name}`", text) for way, name, text in rows])
    if model.detector is not None:
        new = {name: text for name, text in detector_outputs_of(model).items() if name not in outputs_of(model)}
        yield ""
        name = detector_path(Path(file)).name
        yield f"`{name}` takes `images` alone and finds the persons itself; it also gives:"
        yield ""
        yield from _table(("", "name", "what it is"), [("out", f"`{name}`", text) for name, text in new.items()])


def _mask_size(model: ModelConfig) -> str:
    if model.head == "none":
        return " (height × width)"
    height, width = model.mask_size
    return f", mask_size {height} × {width} (height × width), classes: background, this person, other people"


def _making(facts: Facts, parity: ParityReport | None) -> Iterator[str]:
    result = facts.result
    yield f"- Checkpoint: {short(facts.sha256)}; seed {facts.config.training.seed}."
    training = None if result is None else result.training_fingerprint
    yield f"- Annotations: training {short(training)}, validation {short(facts.data_fingerprint)}."
    if result is not None:
        yield f"- Images: training {short(result.training_images)}, validation {short(result.validation_images)}."
        if result.skipped_samples:
            yield f"- {len(result.skipped_samples)} images could not be used and were left out."
    yield f"- Against PyTorch: {'unknown' if parity is None else parity.in_words}."
    if parity is not None and parity.detector is not None:
        yield f"- The file that finds the persons itself: {parity.detector.in_words}."
    yield f"- Versions: {', '.join(_versions(facts))}; arithmetic {facts.provenance.get('precision', UNKNOWN)}."
    segments = facts.config.training.segments
    if segments:
        yield f"- It grew: trained to {', then on to '.join(map(str, segments))} epochs."
    yield ""
    yield from _block(_command(facts.config))
    changed = changed_fields(facts.config, ExperimentConfig(name=facts.config.name))
    yield from ("", "<details><summary>Settings that are not the defaults</summary>", "")
    yield from _block("\n".join(changed) or "none")
    yield from ("", "</details>")


def _versions(facts: Facts) -> Iterator[str]:
    versions = facts.provenance.get("versions")
    known = versions if isinstance(versions, dict) else {}
    yield f"human-edge-detection {known.get('human-edge-detection', __version__)}"
    yield from (f"{name} {known[name]}" for name in _VERSIONS if name in known)


def _command(config: ExperimentConfig) -> str:
    """What trains it again, with names in place of what lies somewhere."""
    preset = next((one for one in list_configs() if one.name == config.name), None)
    if preset is None:
        words, changes = ["--config_file", "config.json"], []
    else:
        words, changes = ["--config", config.name], changed_fields(config, preset)
    words += [] if config.data.sample is not None else ["--data_root", "DATA"]
    words += [] if config.distillation is None else ["--teacher_checkpoint", "TEACHER.pth"]
    words += [word for change in changes for word in ("--set", change)]
    return shlex.join(["hed", "train", *words, "--export_onnx"])


def _block(text: str) -> Sequence[str]:
    return ("```", printable(text) if "\n" not in text else text, "```")


def _range(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
