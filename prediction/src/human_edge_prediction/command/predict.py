"""From the flags of a call to files: what ``hed predict`` and ``python -m human_edge_prediction`` do."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from human_edge_prediction.command.arguments import KINDS, MOST_DILATION_PX, USUAL
from human_edge_prediction.command.given_adapter import read_description
from human_edge_prediction.command.progress import Progress
from human_edge_prediction.errors import BoxError, ImageFileError, SourceError
from human_edge_prediction.prediction import Prediction
from human_edge_prediction.predictor import Predictor
from human_edge_prediction.runtimes import CPU
from human_edge_prediction.sources.frames import Frame, count_frames, read_frames
from human_edge_prediction.sources.given_boxes import (
    PERSON,
    Annotations,
    GivenBoxes,
    annotated_boxes,
    read_boxes,
)
from human_edge_prediction.sources.listing import STDIN, Listing, Source, find_sources
from human_edge_prediction.writers.coco import CocoWriter
from human_edge_prediction.writers.files import check_writable
from human_edge_prediction.writers.pictures import ClassMapWriter, CutoutWriter, MaskWriter, OverlayWriter
from human_edge_prediction.writers.steps import StepsWriter
from human_edge_prediction.writers.table import CsvWriter
from human_edge_prediction.writers.video import VideoWriter
from human_edge_prediction.writers.writer import Writer, check_targets
from human_edge_prediction.writers.yolo import YoloWriter

INTERRUPTED_LINE: Final = "interrupted; what is written is whole, and holds the images so far"
FAILED: Final = 1
"""Exit code when an image could not be used."""


def run(args: argparse.Namespace, make: Callable[..., Predictor] = Predictor) -> int:
    """Predicts and writes; what went wrong with single images is said on standard error.

    Args:
        args: Of :func:`~human_edge_prediction.command.arguments.add_arguments`.
        make: Makes the predictor; that of the full package takes more kinds of model.

    Returns:
        0, or :data:`FAILED`.

    Raises:
        PredictionError: The call is wrong, or something cannot be written; what was written before is whole.
        KeyboardInterrupt: Likewise.
    """
    _check(args)
    listing = find_sources(args.sources, _standard_input() if STDIN in args.sources else ())
    given, ids, category = _given(args, listing.sources)
    progress = Progress(sys.stderr, count_frames(listing.sources))
    writers = _writers(args, listing.sources, ids, category, progress.say)
    check_targets(writers, listing.sources, args.output, overwrite=args.overwrite)
    predictor = _predictor(args, make)
    if given is not None and not predictor.takes_boxes:
        advice = "leave out --boxes" if args.ann is None else "give --image_ids instead of --ann, for the ids alone"
        raise SourceError(f"{args.model} finds persons itself and takes no boxes; {advice}")
    if given is None and predictor.needs_boxes:
        raise SourceError(f"{args.model} makes masks in boxes and finds none itself; give --detector, --boxes or --ann")
    check_writable(args.output)
    if given is None and predictor.misses_detector:
        progress.say(
            f"{args.model} was exported beside a detector, which is not here: persons who touch are one; put its "
            ".detect.onnx beside it, or give --detector, --boxes or --ann"
        )
    if given is not None and given.left_out:
        progress.say(f"{args.ann}: persons left out, as their boxes have no area: {given.left_out}")
    progress.begin()  # a model takes its time to open, which says nothing of the images
    return _Run(args, predictor, given, writers, progress).over(listing)


class _Run:
    """One call under way."""

    def __init__(
        self,
        args: argparse.Namespace,
        predictor: Predictor,
        given: GivenBoxes | None,
        writers: Sequence[Writer],
        progress: Progress,
    ) -> None:
        self._args, self._predictor, self._given = args, predictor, given
        self._writers, self._progress = writers, progress
        self._boxes_from: Counter[str] = Counter()
        self._persons = self._failed = self._frames = 0

    def over(self, listing: Listing) -> int:
        """Predicts on all that is listed; the exit code."""
        for problem in listing.problems:
            self._fail(problem)
        try:
            with ExitStack() as closing:
                for writer in self._writers:
                    closing.callback(writer.close)
                for frame in read_frames(listing.sources, self._fail):
                    self._one(frame)
        finally:
            self._progress.clear()
            self._report()
        return FAILED if self._failed else 0

    def _one(self, frame: Frame) -> None:
        try:
            prediction = self._predict(frame)
            for writer in self._writers:
                writer.write(frame, prediction)
        except (BoxError, ImageFileError) as error:
            where = frame.source.path if frame.index is None else f"{frame.source.path} (frame {frame.index})"
            self._fail(f"{where}: {error}")
            return
        self._boxes_from[prediction.boxes_from] += 1
        self._persons += len(prediction)
        self._frames += frame.index is not None
        self._progress.advance()

    def _predict(self, frame: Frame) -> Prediction:
        if self._given is None:
            prediction = self._predictor(frame.image)
        else:
            boxes, scores = self._given.of(frame)
            prediction = self._predictor(frame.image, boxes)
            if scores is not None:
                prediction = replace(prediction, scores=scores)
        if self._args.min_score is not None:
            prediction = prediction.at_least(self._args.min_score)
        return replace(prediction, dilate=self._args.dilate, smooth_edges=self._args.smooth_edges)

    def _fail(self, line: str) -> None:
        self._failed += 1
        self._progress.say(f"failed: {printable(line)}")

    def _report(self) -> None:
        done = self._progress.done
        persons = "1 person" if self._persons == 1 else f"{self._persons} persons"
        whence = ", ".join(
            name if len(self._boxes_from) == 1 else f"{name} ({count} images)"
            for name, count in self._boxes_from.most_common()
        )
        images = done - self._frames
        looked_at = [f"{images} image{'' if images == 1 else 's'}"] if images or not self._frames else []
        if self._frames:
            looked_at.append(f"{self._frames} frame{'' if self._frames == 1 else 's'}")
        parts = [f"{' and '.join(looked_at)}, {persons}"]
        if done:
            parts += [self._progress.speed, f"boxes: {whence}"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        sys.stdout.write("; ".join(parts) + "\n")
        for writer in self._writers:
            if writer.place.exists():
                sys.stdout.write(f"written: {printable(str(writer.place))}\n")


def printable(text: str) -> str:
    """``text`` in one line, with escapes in place of what a terminal would obey or cannot show."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _standard_input() -> list[bytes]:
    return [] if sys.stdin is None else sys.stdin.buffer.readlines()


def _check(args: argparse.Namespace) -> None:
    """Refuses flags that contradict each other, and values out of range.

    Raises:
        SourceError: As it says.
    """
    found = [flag for flag in ("boxes", "ann", "detector") if getattr(args, flag) is not None]
    if "detector" in found and len(found) > 1:
        raise SourceError(f"--{found[0]} and --detector both say where the boxes are; give one")
    if args.detector_adapter is not None and args.detector is None:
        raise SourceError("--detector_adapter describes a --detector, and none is given; give both")
    if args.ann is not None and args.image_ids is not None:
        raise SourceError("--ann and --image_ids both say which image has which id; give one")
    for flag, value, low, high in (
        ("min_score", args.min_score, 0, 1),
        ("dilate", args.dilate, 0, MOST_DILATION_PX),
        ("threads", args.threads, 1, 1024),
    ):
        if value is not None and not low <= value <= high:
            raise SourceError(f"--{flag}: expected {low} to {high}, got {value}")


def _given(
    args: argparse.Namespace, sources: Sequence[Source]
) -> tuple[GivenBoxes | None, Mapping[str, int] | None, int]:
    """The boxes that are given, if any, the ids of images, if any, and the category of persons."""
    file = args.ann or args.image_ids
    annotations = None if file is None else Annotations(file)
    given = None
    if args.boxes is not None:
        given = read_boxes(args.boxes, annotations, sources)
    elif args.ann is not None and annotations is not None:
        given = annotated_boxes(annotations, sources)
    if annotations is None:
        return given, None, PERSON
    return given, {name: image.id for name, image in annotations.images(sources).items()}, annotations.person


def _writers(
    args: argparse.Namespace,
    sources: Sequence[Source],
    ids: Mapping[str, int] | None,
    category: int,
    say: Callable[[str], None],
) -> list[Writer]:
    """What writes the kinds of file that are asked for, in the order of the help."""
    has_video = any(source.is_video for source in sources)
    if args.save is not None and "video" in args.save and not has_video:
        raise SourceError("--save video: none of the sources is a video; leave it out")
    kinds = [kind for kind in KINDS if kind in (USUAL if args.save is None else args.save)]
    folder: Path = args.output
    makers: dict[str, Callable[[], Writer]] = {
        "overlay": lambda: OverlayWriter(folder / "overlay", of_videos=args.save is not None),
        "masks": lambda: MaskWriter(folder / "masks"),
        "class_mask": lambda: ClassMapWriter(folder / "class_mask"),
        "cutout": lambda: CutoutWriter(folder / "cutout", soft=args.smooth_edges),
        "coco": lambda: CocoWriter(folder, category=category, ids=ids),
        "yolo": lambda: YoloWriter(folder / "yolo"),
        "csv": lambda: CsvWriter(folder),
        "video": lambda: VideoWriter(folder / "video", say),
    }
    writers = [makers[kind]() for kind in kinds if kind != "video" or has_video]
    return [*writers, StepsWriter(folder / "steps")] if args.show_steps else writers


def _predictor(args: argparse.Namespace, make: Callable[..., Predictor]) -> Predictor:
    return make(
        args.model,
        detector=args.detector,
        adapter=read_description("adapter", args.adapter, args.model),
        detector_adapter=read_description("detector_adapter", args.detector_adapter, args.detector),
        min_score=args.min_score,
        threads=args.threads,
        provider=CPU if args.provider is None else args.provider,
    )
