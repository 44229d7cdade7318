"""``hed soft-labels``: runs the teacher about every view that a training will see, and stores what it says."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from human_edge_detection.data.loader import BatchLoader, Key
from human_edge_detection.engine.build import Splits, build_training_set, read_splits
from human_edge_detection.engine.device import autocast, choose_device, choose_precision, make_deterministic
from human_edge_detection.engine.loading import loading_of
from human_edge_detection.engine.progress_lines import ProgressLines
from human_edge_detection.engine.teaching.external.coverage import record_answers
from human_edge_detection.engine.teaching.external.read_answers import check_source
from human_edge_detection.engine.teaching.external.teacher import answers_as_teacher, ask_external_teacher
from human_edge_detection.engine.teaching.soft_label_parts import (
    Heads,
    Predictor,
    all_parts,
    describe_part,
    images_of,
    is_of_image,
    is_whole,
    largest_bytes,
    pack,
    part_file,
)
from human_edge_detection.engine.teaching.soft_labels import (
    BOXES_FILE,
    SoftLabelKey,
    SoftLabelMetadata,
    SoftLabels,
    TeacherRecord,
    all_images,
    check_key,
    check_parts,
    check_shapes,
    metadata_path,
    names_of,
    read_metadata,
    refuse_older,
    soft_label_folder,
    soft_label_key,
)
from human_edge_detection.engine.teaching.teacher import Teacher, load_teachers
from human_edge_detection.engine.teaching.teachers import Teachers
from human_edge_detection.engine.teaching.unlabelled import (
    Unlabelled,
    asks_detector,
    find_boxes,
    packed,
    read_unlabelled,
    with_own_boxes,
)
from human_edge_detection.errors import ConfigError, StorageError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.heads import BY_KEY, DISTILLED
from human_edge_detection.files.held import held
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import (
    delete_folder,
    delete_leftovers,
    existing_folder,
    make_folder,
    write_atomically,
    write_json,
)
from human_edge_detection.runs.paths import scan_cache
from human_edge_detection.structures import Batch, SegmentationOutput
from human_edge_detection.wording import gib

logger = logging.getLogger(__name__)


def write_soft_labels(config: ExperimentConfig, *, sample_root: Path, source: Path | None = None) -> SoftLabels:
    """Stores the teacher's soft labels to all views of ``config``; goes on where an earlier call was ended.

    What is there already is not computed again, but read: a finished cache is verified whole.

    Args:
        config: The training that will use them; its teacher resolved to a path.
        sample_root: Where the embedded sample data are, or will be made.
        source: Answers of another teacher, a file or folder: alone, or as one with the teacher of ``config``.

    Raises:
        ConfigError: No folder, no teacher, no number of views, or the folder holds soft labels of something else.
        BusyError: Another process writes to this folder.
        StorageError: They do not fit on the disk.
        HumanEdgeDetectionError: As its other subclasses say: data, teacher, a damaged part.
    """
    distillation = config.distillation
    if distillation is None or distillation.soft_labels is None:
        raise ConfigError("distillation.soft_labels: nowhere to store the soft labels; give --soft_labels DIR")
    if not distillation.teacher_paths and source is None:
        raise ConfigError(f"{config.name}: no teacher; give --teacher_checkpoint PATH, or answers --from PATH")
    if source is not None and distillation.external_teacher is not None:
        raise ConfigError(
            f"--from {source}: {distillation.external_teacher} is a model file that teaches too; give one of them"
        )
    if source is not None:
        check_source(source)
    augmentation = config.data.augmentation
    if source is not None and augmentation is not None and augmentation.pipeline is not None:
        raise ConfigError(
            f"--from {source}: views of data.augmentation.pipeline are no affine maps of the images, so answers cannot "
            "be moved along; give --set data.augmentation.pipeline=null"
        )
    if source is not None and config.data.unlabelled is not None and not distillation.own_teacher_paths:
        raise ConfigError(
            f"--from {source}: says nothing of the images of data.unlabelled, and nobody else teaches; give "
            "--teacher_checkpoint too, or leave data.unlabelled out"
        )
    device = choose_device(config.training.device)
    make_deterministic(device, wanted=config.training.deterministic)
    paths = distillation.own_teacher_paths
    own = load_teachers(paths, device, mirrored=bool(distillation.flip_averaging)) if paths else None
    splits = read_splits(config.data, sample_root, seed=config.training.seed, scan_cache=scan_cache(config.data))
    folder = soft_label_folder(distillation.soft_labels, config.training.seed)
    external = ask_external_teacher(config, splits) if source is None else answers_as_teacher(source, splits)
    teachers = Teachers(own, external)
    writer = _Writer(config, folder, teachers, splits, read_unlabelled(config.data, splits), device)
    lock = writer.folder.with_name(f".{writer.folder.name}.lock")
    with hold(lock, f"soft labels {writer.folder}", advice="wait for it, or give another --soft_labels folder"):
        return writer.write()


class _Writer:
    """One folder in the making; the caller holds its lock."""

    def __init__(
        self,
        config: ExperimentConfig,
        folder: Path,
        teachers: Teachers,
        splits: Splits,
        unlabelled: Unlabelled | None,
        device: torch.device,
    ) -> None:
        self.config = config
        self.folder = folder
        self.teachers = teachers
        self.splits = splits
        self.device = device
        self.precision = choose_precision(config.training.precision, device)
        self.unlabelled = unlabelled
        self.images = all_images(splits, unlabelled)
        self.loading = loading_of(config, device)

    def write(self) -> SoftLabels:
        key = self._key()
        refuse_older(self.folder)
        begun = read_metadata(self.folder)
        if begun is not None:
            check_key(self.folder, begun, key, self._names())
            check_shapes(self.folder, begun, self.config, images=self.images)
            begun = self._measured_here(begun)
            if begun.parts is not None:
                check_parts(self.folder, [*begun.parts, *([begun.boxes] if begun.boxes else [])], hashes=True)
                logger.info("soft labels %s: written earlier, all %d parts verified", self.folder, len(begun.parts))
                return SoftLabels(self.folder, begun)
        self._locate(begun)
        heads = self._heads() if begun is None else begun.heads
        everything = list(all_parts(self.images, key.cache_views))
        missing = [part for part in everything if begun is None or not self._is_whole(*part, heads)]
        self._check_space(missing, len(everything), heads)
        metadata = self._begin(key, heads) if begun is None else begun
        with held(self.folder):
            self._write_parts(missing, len(everything), heads)
            parts = tuple(describe_part(self.folder, part_file(*part)) for part in everything)
            metadata = metadata.model_copy(update={"parts": parts})
            write_json(metadata_path(self.folder), metadata.model_dump(mode="json"))
        return SoftLabels(self.folder, metadata)

    def _key(self) -> SoftLabelKey:
        own, external = self.teachers
        return soft_label_key(
            self.config,
            self.splits,
            None if own is None else own.fingerprint,
            external=None if external is None else external.sha256,
            adapter=None if external is None else external.adapter,
            unlabelled=self.unlabelled,
        )

    def _names(self) -> dict[str, str]:
        distillation, external = self.config.distillation, self.teachers.external
        own = () if distillation is None else distillation.own_teacher_paths
        return names_of(own, None if external is None else external.path)

    def _heads(self) -> Heads:
        """What is stored of any of the teachers."""
        own, external = self.teachers
        heads = {} if own is None else stored_heads(own, self.config, self.device)
        if external is not None:
            dataset = build_training_set(self.config, self.splits.train, soft_labels=external.train)
            said = dataset[(0, 0)].soft_labels or {}
            heads |= {head: (values.shape[1], values.shape[2], values.shape[3]) for head, values in said.items()}
        return heads

    def _locate(self, begun: SoftLabelMetadata | None) -> None:
        """Finds the boxes on the images without labels, where the teacher's detector is asked: once for a folder."""
        section = self.config.data.unlabelled
        if begun is not None:
            self.unlabelled = SoftLabels(self.folder, begun).located(self.unlabelled)
        elif self.unlabelled is not None and section is not None and asks_detector(self.config.data):
            assert self.teachers.own is not None  # a rule of the schema: it has the detector
            boxes = find_boxes(
                self.teachers.own,
                self.unlabelled.people,
                min_score=section.min_score,
                device=self.device,
                loading=self.loading,
            )
            make_folder(self.folder)
            write_json(self.folder / BOXES_FILE, packed(boxes))
            self.unlabelled = with_own_boxes(self.unlabelled, boxes)

    def _measured_here(self, metadata: SoftLabelMetadata) -> SoftLabelMetadata:
        """With what the teacher scores on these validation data; the soft labels do not depend on them."""
        if metadata.teacher.metrics_on(self.splits.val) is not None:
            return metadata
        known = metadata.teacher.metrics
        teacher = metadata.teacher.model_copy(update={"metrics": {**known, **self._teacher_record().metrics}})
        metadata = metadata.model_copy(update={"teacher": teacher})
        write_json(metadata_path(self.folder), metadata.model_dump(mode="json"))
        return metadata

    def _teacher_record(self) -> TeacherRecord:
        return self.teachers.measure(
            self.splits.val,
            self.config.model,
            device=self.device,
            precision=self.precision,
            loading=self.loading,
        )

    def _begin(self, key: SoftLabelKey, heads: Heads) -> SoftLabelMetadata:
        """Says what the parts that follow are soft labels of, so that no other command adds to them."""
        external = self.teachers.external
        known = None
        if external is not None:
            known = record_answers(external.train.answers, self.splits.train, source=external.path)
        metadata = SoftLabelMetadata(
            key=key,
            teacher=self._teacher_record(),
            heads=heads,
            classes={head: BY_KEY[head].classes for head in heads},
            images=self.images,
            annotations=str(self.splits.train.file),
            boxes=describe_part(self.folder, BOXES_FILE) if asks_detector(self.config.data) else None,
            device=str(self.device),
            precision=self.precision,
            external=known,
        )
        for view in self.folder.glob("view_*"):  # of a cache whose metadata are gone: soft labels of nobody knows what
            delete_folder(view)
        write_json(metadata_path(self.folder), metadata.model_dump(mode="json"))
        return metadata

    def _is_whole(self, view: int, number: int, heads: Heads) -> bool:
        return is_whole(self.folder / part_file(view, number), len(images_of(number, self.images)), heads)

    def _check_space(self, missing: Sequence[tuple[int, int]], everything: int, heads: Heads) -> None:
        """Before the teacher is run; an upper bound, as augmentation moves a few persons out of their images."""
        views = self.config.data.cache_views or 0
        sets = [self.splits.train, *([self.unlabelled.people] if self.unlabelled else [])]
        of_view = sum(largest_bytes(people, self.config.data, heads) for people in sets)
        need = of_view * views * len(missing) // everything
        place = existing_folder(self.folder)
        free = shutil.disk_usage(place).free
        if need > free:
            raise StorageError(
                f"--soft_labels {self.folder}: {views} views need about {gib(need)}, and {gib(free)} are free on the "
                f"disk of {place}; free some, give another folder, or lower data.cache_views or model.mask_size"
            )
        if missing:
            logger.info("soft labels %s: up to %s to write, %s free", self.folder, gib(need), gib(free))

    def _write_parts(self, missing: Sequence[tuple[int, int]], everything: int, heads: Heads) -> None:
        for view in {view for view, _ in missing}:
            delete_leftovers((self.folder / part_file(view, 0)).parent)
        progress = ProgressLines("soft labels: part", everything, everything - len(missing))
        with closing(self._outputs(missing, heads)) as outputs:
            for view, number in missing:
                count = len(images_of(number, self.images))
                persons, of_images = zip(*islice(outputs, count), strict=True)
                content = pack(persons, of_images, heads)
                write_atomically(self.folder / part_file(view, number), content)
                progress.one_done()

    def _outputs(self, parts: Sequence[tuple[int, int]], heads: Heads) -> Generator[tuple[int, Predictor]]:
        """Number of rois and the teacher's soft labels, for each image of ``parts`` in their order."""
        dataset = build_training_set(
            self.config,
            self.splits.train,
            teacher_size=self.teachers.wanted_size(self.config.model.image_size),
            soft_labels=self.teachers.soft_labels,
            unlabelled=self.unlabelled.people if self.unlabelled else None,
        )
        partial = self.teachers.external is not None
        loader = BatchLoader(dataset, self._keys(parts), num_workers=self.loading.workers, pin=self.loading.pin)
        for batch in loader:
            yield from split_output(self._ask(batch.to(self.device)), batch, heads, partial=partial)

    def _keys(self, parts: Sequence[tuple[int, int]]) -> list[list[Key]]:
        """Batches within a part: what a part holds, to the last bit, does not depend on which others were there."""
        batches = []
        for view, number in parts:
            keys = [(view, index) for index in images_of(number, self.images)]
            size = self.config.training.batch_size
            batches += [keys[start : start + size] for start in range(0, len(keys), size)]
        return batches

    def _ask(self, batch: Batch) -> SegmentationOutput:
        with autocast(self.device, self.precision):
            said = self.teachers.ask(batch)
        assert said is not None  # an external teacher's comes with the batch
        return said


def stored_heads(teacher: Teacher, config: ExperimentConfig, device: torch.device) -> Heads:
    """What is stored of ``teacher``: its heads that a term of logits asks for, at the sizes of the student."""
    images = torch.zeros(1, 3, *config.model.image_size, device=device)
    rois = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]], device=device)
    output = teacher.predict(images, rois, mask_size=config.model.mask_size)
    outputs = {"logits": output.logits, **output.aux}
    return {
        head: (outputs[head].shape[1], outputs[head].shape[2], outputs[head].shape[3])
        for head in (distilled.key for distilled in DISTILLED)
        if head in outputs
    }


def split_output(
    output: SegmentationOutput, batch: Batch, heads: Heads, *, partial: bool = False
) -> Iterator[tuple[int, Predictor]]:
    """Number of rois and the soft labels, in half precision, of each image of ``batch``; ``partial``: or NaN.

    Raises:
        TrainingError: A logit is not finite, or too large for half precision.
    """
    outputs = {"logits": output.logits, **output.aux}
    owners = batch.rois[:, 0].cpu().numpy()
    stored = {
        # Without any person in the batch there are no outputs of rois, or empty ones of another size.
        head: _half(outputs[head]) if head in outputs and len(outputs[head]) else np.empty((0, *shape), np.float16)
        for head, shape in heads.items()
    }
    if not all((np.isfinite(values) | (partial & np.isnan(values))).all() for values in stored.values()):
        raise TrainingError(
            "the teacher's logits are not finite, or beyond 65504; its weights are damaged, give another"
        )
    for number in range(len(batch.images)):
        rows = owners == number
        yield (
            int(rows.sum()),
            {
                head: values[number : number + 1] if is_of_image(head) else values[rows]
                for head, values in stored.items()
            },
        )


def _half(logits: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    halved: np.ndarray[tuple[int, ...], np.dtype[np.float16]] = logits.to(torch.float16).cpu().numpy()
    return halved
