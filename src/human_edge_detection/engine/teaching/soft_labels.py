"""Soft labels of a teacher: which views they belong to, and how they are read.

``soft_labels_metadata.json`` says what the soft labels are to and lists the parts with their sha256
(:mod:`~human_edge_detection.engine.teaching.soft_label_parts`). The parts are written one by one, each in one step, and
the list last, so that a killed writing goes on after the last whole part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from human_edge_detection.data.annotations.coco import AnnotationSet
from human_edge_detection.data.dataset import Sample
from human_edge_detection.data.views.augment import VIEW_VERSION
from human_edge_detection.data.views.pipeline_file import fingerprint
from human_edge_detection.engine.build import Splits
from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.engine.teaching.external.ask import adapter_digest
from human_edge_detection.engine.teaching.external.coverage import ExternalRecord
from human_edge_detection.engine.teaching.soft_label_parts import (
    MOST_BYTES,
    Heads,
    Part,
    Predictor,
    all_parts,
    is_of_image,
    part_file,
    parts_of_view,
    place_of,
    unpack,
)
from human_edge_detection.engine.teaching.teacher import Teacher, fingerprint_of
from human_edge_detection.engine.teaching.unlabelled import StoredBoxes, Unlabelled, unpacked, with_own_boxes
from human_edge_detection.errors import CheckpointError, ConfigError, DataError
from human_edge_detection.experiments.difference import compare_fields, known_to_differ
from human_edge_detection.experiments.schema.base import Section, Size
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.heads import BY_KEY
from human_edge_detection.files.cache import read_cached
from human_edge_detection.files.model_files import model_sha256
from human_edge_detection.files.read import hash_regular_file
from human_edge_detection.runs.paths import OLDER_SOFT_LABELS_METADATA, SOFT_LABELS_METADATA
from human_edge_detection.runs.records import Count, Scores, read_section

_HASHED_BYTES: Final = 4 << 30
"""Larger caches are only measured when they are opened for training; ``hed soft-labels`` hashes those too."""
_MAX_METADATA_BYTES: Final = 1 << 28
"""A million parts."""
BOXES_FILE: Final = "unlabelled_boxes.json"
_SHOWN: Final = 12
"""Characters of a hash."""
_AGAIN: Final = "give hed soft-labels with the flags of this training"


class SoftLabelKey(Section):
    """All that a soft label depends on. A soft label to anything else would be one to another image."""

    format_version: Literal[3] = 3
    teacher_sha256: str | None
    """Of the checkpoint's file; of several teachers, joined by ``+``; None: no checkpoint teaches."""
    external: str | None = None
    """sha256 of the external teacher's file, or of its answers; None: there is none."""
    adapter: str | None = None
    """Digest of what is said of the external teacher's file."""
    training_fingerprint: str
    training_images: str | None = None
    """Fingerprint of the images; None in soft labels of older versions: unknown."""
    unlabelled: str | None = None
    """Of the images without labels, which come after the training images, and of where the boxes on them come from."""
    augmentation: AugmentationConfig | None
    """Its ``pipeline`` is no path here, but the sha256 of the file and the version of albumentations."""
    image_size: Size
    mask_size: Size
    max_rois_per_image: int
    seed: int
    cache_views: int
    view_version: int
    """Of the code that draws and makes the views."""

    @property
    def source(self) -> str:
        """Tells what teaches, from anything else."""
        return "+".join(sha256 for sha256 in (self.teacher_sha256, self.external) if sha256 is not None)


class TeacherRecord(Section):
    """What the result of a run says of its teacher."""

    checkpoint: str
    sha256: str
    experiment: str
    encoder: str | None
    """None, as the next: of a teacher that is not ours."""
    parameters: Count | None
    metrics: dict[str, Scores]
    """By the key of the validation data that they were measured on, ``AnnotationSet.score_key``; of older versions by
    their annotations alone."""
    kind: str | None = None
    """Of an external teacher, which teaches alone; None: a checkpoint of this tool."""

    def metrics_on(self, people: AnnotationSet) -> Scores | None:
        """Those measured on these validation data, mIoU among them; None when there are none."""
        found = (self.metrics.get(key, {}) for key in (people.score_key, people.fingerprint))
        return next((metrics for metrics in found if "miou" in metrics), None)


class SoftLabelMetadata(Section):
    """The content of ``soft_labels_metadata.json``."""

    key: SoftLabelKey
    teacher: TeacherRecord
    heads: Heads
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """What the channels of each head are; of a single one, what its logit is for."""
    images: Count
    """Number of training images, those without labels included."""
    annotations: str
    """File of the training annotations."""
    device: str
    precision: str
    external: ExternalRecord | None = None
    """Of the answers of an external teacher, if there is one."""
    parts: tuple[Part, ...] | None = None
    """View by view; null while they are being written."""
    boxes: Part | None = None
    """Where the teacher's detector saw persons on the images without labels; null: it was not asked."""

    @property
    def names(self) -> dict[str, str]:
        """As of :func:`names_of`."""
        checkpoint, source = self.teacher.checkpoint, None if self.external is None else self.external.source
        if self.key.teacher_sha256 is None:  # then the external teacher is the one that is recorded
            return {"external": checkpoint}
        return {"teacher_sha256": checkpoint} | ({} if source is None else {"external": source})

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if not self.heads:
            raise ValueError("heads: none")
        for head, (channels, height, width) in self.heads.items():
            known = BY_KEY.get(head)
            if known is None or channels != known.channels or min(height, width) < 1:
                raise ValueError(f"heads: {head} of shape {channels} x {height} x {width}")
        return self


@dataclass(frozen=True)
class SoftLabels:
    """The soft labels in ``folder``, by view and index. Holds no open file, so it can go to any process."""

    folder: Path
    metadata: SoftLabelMetadata

    def __call__(self, view: int, index: int, sample: Sample) -> Predictor:
        """The soft labels of image ``index`` of ``view``, which ``sample`` shows.

        Raises:
            DataError: The part is gone or damaged, or they are to another number of persons.
        """
        stored, output = self.read(view, index)
        if stored != len(sample.boxes):
            raise DataError(
                f"soft labels {self._path(view, index)}: soft labels of {stored} persons of image {index}, expected "
                f"{len(sample.boxes)}; the images have changed: delete {self.folder} and {_AGAIN}"
            )
        return output

    def read(self, view: int, index: int) -> tuple[int, Predictor]:
        """Number n of rois of an image in a view, and the soft labels by head, float16.

        Args:
            view: Below ``metadata.key.cache_views``.
            index: Of the image in the training data.

        Returns:
            ``(n, C, H, W)`` logits of a head over rois, ``(1, C, H, W)`` of one over images; NaN in all classes of a
            position where the teacher says nothing.

        Raises:
            DataError: The part is gone or damaged.
        """
        path = self._path(view, index)
        try:
            return unpack(path, place_of(index)[1], self.metadata.heads)
        except (OSError, ValueError) as error:
            raise DataError(f"soft labels {path}: cannot be read ({error}); {_AGAIN}") from error

    def located(self, unlabelled: Unlabelled | None) -> Unlabelled | None:
        """``unlabelled`` with the boxes that the teacher's detector found when it was asked, if it was.

        Raises:
            DataError: Their file is gone or damaged.
        """
        if unlabelled is None or self.metadata.boxes is None:
            return unlabelled
        stored = read_cached(StoredBoxes, self.folder / BOXES_FILE)
        if stored is None or len(stored) != len(unlabelled.people.images):
            file = self.folder / BOXES_FILE
            raise DataError(f"soft labels {file}: missing or damaged; delete {self.folder} and {_AGAIN}")
        return with_own_boxes(unlabelled, unpacked(stored))

    def _path(self, view: int, index: int) -> Path:
        return self.folder / part_file(view, place_of(index)[0])


def teacher_record(teacher: Teacher, metrics: Metrics, people: AnnotationSet) -> TeacherRecord:
    """What is remembered of ``teacher``, of several the first.

    Args:
        teacher: It.
        metrics: Of what teaches, measured on validation data.
        people: These data.
    """
    return TeacherRecord(
        checkpoint=str(teacher.path),
        sha256=teacher.sha256,
        experiment=teacher.checkpoint.config.name,
        encoder=teacher.checkpoint.config.model.encoder,
        parameters=teacher.parameters,
        metrics={people.score_key: dict(metrics)},
    )


def all_images(splits: Splits, unlabelled: Unlabelled | None) -> int:
    """Number of images that soft labels are to."""
    return len(splits.train.images) + (0 if unlabelled is None else len(unlabelled.people.images))


def soft_label_folder(given: str, seed: int) -> Path:
    """The folder that ``distillation.soft_labels`` stands for: ``{seed}`` in it is the seed, on which views depend."""
    return Path(given.replace("{seed}", str(seed)))


def soft_label_key(
    config: ExperimentConfig,
    splits: Splits,
    teacher_sha256: str | None,
    external: str | None = None,
    adapter: str | None = None,
    unlabelled: Unlabelled | None = None,
) -> SoftLabelKey:
    """What the soft labels of these teachers to the views of ``config``, which names a folder for them, depend on."""
    assert config.data.cache_views is not None  # a rule of the schema
    return SoftLabelKey(
        teacher_sha256=teacher_sha256,
        external=external,
        adapter=adapter,
        training_fingerprint=splits.train.fingerprint,
        training_images=splits.train.images_fingerprint,
        unlabelled=unlabelled.fingerprint if unlabelled else None,
        augmentation=_by_content(config.data.augmentation),
        image_size=config.model.image_size,
        mask_size=config.model.mask_size,
        max_rois_per_image=config.data.max_rois_per_image,
        seed=config.training.seed,
        cache_views=config.data.cache_views,
        view_version=VIEW_VERSION,
    )


def _by_content(augmentation: AugmentationConfig | None) -> AugmentationConfig | None:
    if augmentation is None or augmentation.pipeline is None:
        return augmentation
    return augmentation.model_copy(update={"pipeline": fingerprint(Path(augmentation.pipeline))})


def open_soft_labels(
    config: ExperimentConfig, splits: Splits, unlabelled: Unlabelled | None = None
) -> SoftLabels | None:
    """The soft labels that ``config`` names; None: it names none. No teacher is loaded; its file, if named, is hashed.

    Sizes are checked always, checksums where that takes seconds (up to 4 GiB).

    Raises:
        ConfigError: There are none, they are not finished, or they are not to this training; names the first field
            that differs.
        DataError: A part is missing or damaged.
        CheckpointError: The teacher's file or the metadata cannot be read.
    """
    distillation = config.distillation
    if distillation is None or distillation.soft_labels is None:
        return None
    folder = soft_label_folder(distillation.soft_labels, config.training.seed)
    metadata = read_metadata(folder)
    if metadata is None:
        refuse_older(folder)
        raise ConfigError(f"distillation.soft_labels: no soft labels in {folder}; to make them {_AGAIN}")
    sha256 = _fingerprint(distillation) or metadata.key.teacher_sha256
    external, adapter = metadata.key.external, metadata.key.adapter
    if distillation.external_teacher is not None:
        external = model_sha256(distillation.external_teacher)
        if external is None:
            raise CheckpointError(f"teacher {distillation.external_teacher}: cannot be read; give another one")
        adapter = adapter_digest(distillation.external_teacher, distillation.external)
    wanted = soft_label_key(config, splits, sha256, external=external, adapter=adapter, unlabelled=unlabelled)
    check_key(folder, metadata, wanted, names_of(distillation.own_teacher_paths, distillation.external_teacher))
    check_shapes(folder, metadata, config, images=all_images(splits, unlabelled))
    if metadata.parts is None:
        raise ConfigError(f"distillation.soft_labels: {folder} is not finished; to go on {_AGAIN}")
    if metadata.teacher.metrics_on(splits.val) is None:
        raise ConfigError(
            f"distillation.soft_labels: the teacher of {folder} was not measured on {splits.val.file} and its images "
            f"as they are; {_AGAIN}: it will be, and no soft label is made anew"
        )
    small = sum(part.bytes for part in metadata.parts) <= _HASHED_BYTES
    check_parts(folder, metadata.parts, hashes=small)
    if metadata.boxes is not None:
        check_parts(folder, [metadata.boxes], hashes=True)
    return SoftLabels(folder, metadata)


def check_key(folder: Path, stored: SoftLabelMetadata, wanted: SoftLabelKey, names: Mapping[str, str]) -> None:
    """Refuses soft labels of something else.

    Args:
        folder: Where they are.
        stored: What they are.
        wanted: What is asked for.
        names: What its teachers are called, see :func:`names_of`.

    Raises:
        ConfigError: Naming the first field that differs, with both values.
    """
    changed = compare_fields(stored.key.model_dump(mode="json"), wanted.model_dump(mode="json"))
    if not known_to_differ(stored.key.training_images, wanted.training_images):
        changed.pop("training_images", None)
    if changed:
        field, (old, new) = next(iter(changed.items()))
        there, here = _shown(old, stored.names.get(field)), _shown(new, names.get(field))
        raise ConfigError(
            f"soft labels in {folder} are of another training: {field} is {there} there, {here} here; use its values, "
            "or give another --soft_labels folder"
        )


def names_of(own: Sequence[Path], external: Path | None) -> dict[str, str]:
    """Fields of :class:`SoftLabelKey` that are hashes of what somebody named, and these names."""
    named = {"teacher_sha256": ", ".join(map(str, own)), "external": "" if external is None else str(external)}
    return {field: name for field, name in named.items() if name}


def _shown(value: object, name: str | None) -> str:
    """A value of the key; a hash by the name of its file, and as much of it as tells two contents apart."""
    if name is None or not isinstance(value, str):
        return repr(value)
    return f"{name} (sha256 {'+'.join(part[:_SHOWN] for part in value.split('+'))})"


def check_shapes(folder: Path, metadata: SoftLabelMetadata, config: ExperimentConfig, *, images: int) -> None:
    """Refuses soft labels that cannot be to the ``images`` images of this training, whose key they have.

    Raises:
        ConfigError: soft_labels.json was edited: another number of images, other parts, or a head of another size.
    """
    wrong = []
    if metadata.images != images:
        wrong.append(f"{metadata.images} images, expected {images}")
    for head, (_, *size) in metadata.heads.items():
        expected = BY_KEY[head].size_in(config.model.image_size) if is_of_image(head) else config.model.mask_size
        if tuple(size) != tuple(expected):
            wrong.append(f"{head} of {size[0]} x {size[1]}, expected {expected[0]} x {expected[1]}")
    views = metadata.key.cache_views
    if metadata.parts is not None:
        listed = zip(metadata.parts, all_parts(images, views), strict=False)
        count = views * parts_of_view(images)
        if len(metadata.parts) != count or any(part.file != part_file(*wanted) for part, wanted in listed):
            wrong.append(f"not the {count} parts of {images} images, view by view")
    if wrong:
        raise ConfigError(f"{metadata_path(folder)}: {'; '.join(wrong)}: edited; delete {folder} and {_AGAIN}")


def check_parts(folder: Path, parts: Sequence[Part], *, hashes: bool) -> None:
    """Looks whether all parts are there and whole.

    Raises:
        DataError: One is not; names it.
    """
    for part in parts:
        path = folder / part.file
        whole = (
            path.is_file()
            and path.stat().st_size == part.bytes
            and not (hashes and hash_regular_file(path, max_bytes=MOST_BYTES) != part.sha256)
        )
        if not whole:
            problem = "missing" if not path.is_file() else "damaged (size or checksum differs)"
            raise DataError(f"soft labels {path}: {problem}; delete {folder} and {_AGAIN}")


def refuse_older(folder: Path) -> None:
    """Soft labels of an older version are not read.

    Raises:
        ConfigError: Such are in ``folder``.
    """
    if (folder / OLDER_SOFT_LABELS_METADATA).exists() and not metadata_path(folder).exists():
        raise ConfigError(
            f"soft labels in {folder} are of an older version ({OLDER_SOFT_LABELS_METADATA}) and cannot be read: "
            f"delete {folder} and {_AGAIN}"
        )


def metadata_path(folder: Path) -> Path:
    """Where it is said what the soft labels in ``folder`` are to."""
    return folder / SOFT_LABELS_METADATA


def read_metadata(folder: Path) -> SoftLabelMetadata | None:
    """What ``folder`` says of its soft labels; None when it holds none."""
    return read_section(SoftLabelMetadata, metadata_path(folder), max_bytes=_MAX_METADATA_BYTES)


def _fingerprint(config: DistillationConfig) -> str | None:
    """As :attr:`~human_edge_detection.engine.teaching.teacher.Teacher.fingerprint`, of teachers that are not loaded."""
    paths = config.own_teacher_paths
    return fingerprint_of(list(map(_sha256, paths)), mirrored=bool(config.flip_averaging)) if paths else None


def _sha256(teacher: Path) -> str:
    try:
        return hash_regular_file(teacher, max_bytes=MOST_BYTES)
    except OSError as error:
        raise CheckpointError(f"teacher checkpoint {error.filename}: {error.strerror}; give another one") from error
