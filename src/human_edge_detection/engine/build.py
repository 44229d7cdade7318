"""The one place that turns a config into parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import nn

from human_edge_detection.advanced.detector import Detector
from human_edge_detection.advanced.encoder_stages import encoder_stages, stage_scales
from human_edge_detection.advanced.fast_layers.replace import use_fast_layers
from human_edge_detection.advanced.feature_pyramid import PersonPyramid
from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter, aligned_channels
from human_edge_detection.advanced.hierarchical_segmentation_unet import (
    HierarchicalHead,
    PersonNetwork,
    PersonUNet,
    PlainHead,
)
from human_edge_detection.advanced.knowledge_distillation import DistillationLoss
from human_edge_detection.advanced.weights.encoder_weights import load_encoder_weights
from human_edge_detection.data.annotations.annotation_set import draw_images, refusal, without
from human_edge_detection.data.annotations.coco import AnnotationSet, read_annotations
from human_edge_detection.data.annotations.dataset_findings import settle
from human_edge_detection.data.annotations.scan import Scan, scan_images
from human_edge_detection.data.dataset import PersonDataset, SoftLabelSource
from human_edge_detection.data.drawn.data_set import write_drawn_data
from human_edge_detection.data.judgement.images import common_images, judge_images, judge_splits
from human_edge_detection.data.mixed import MixedDataset, with_unlabelled
from human_edge_detection.errors import ConfigError, DataError
from human_edge_detection.experiments.schema.data import DataConfig, SampleDataConfig
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.experiments.schema.training import TrainingConfig
from human_edge_detection.files.data_folder import SplitPaths, find_splits
from human_edge_detection.losses.hierarchical import HierarchicalLoss
from human_edge_detection.runs.model_facts.split_scores import own_test_split

logger = logging.getLogger(__name__)

SplitName = Literal["train", "val"]


class Splits(NamedTuple):
    """The annotations of both splits, read and checked."""

    train: AnnotationSet
    val: AnnotationSet


class HeldOut(NamedTuple):
    """A test split.

    Attributes:
        people: Its annotations, read and checked.
        also_in: How many of its images the other splits have as well; one that cannot be read is not there.
    """

    people: AnnotationSet
    also_in: dict[SplitName, int]


def build_model(config: ModelConfig) -> RgbPersonSegmenter:
    """The network with random weights."""
    # The head first: the order decides which random weights each part has for a seed.
    channels = aligned_channels(config.decoder.roi_channels)
    head: HierarchicalHead | PlainHead | None = None
    if config.head == "hierarchical":
        head = HierarchicalHead(
            channels,
            config.head_channels,
            config.mask_size,
            optional=config.optional_heads,
        )
    elif config.head == "plain":
        head = PlainHead(channels, config.head_channels, config.mask_size)
    unet = _person_network(config)
    detector = None if config.detector is None else Detector(unet.feature_channels, feature_stride=unet.feature_stride)
    model = RgbPersonSegmenter(unet, head, roi_size=config.roi_size, mask_size=config.mask_size, detector=detector)
    use_fast_layers(model)
    return model


def _person_network(config: ModelConfig) -> PersonNetwork:
    """The network over the whole image."""
    if config.decoder.kind == "fpn":
        return PersonPyramid(
            config.encoder,
            depth=config.encoder_depth,
            channels=config.decoder.channels,
            feature_stride=config.feature_stride,
            roi_channels=config.decoder.roi_channels,
        )
    return PersonUNet(config.encoder)


def load_encoder(model: RgbPersonSegmenter, config: ModelConfig) -> None:
    """Loads ``config.encoder_weights`` into the encoder."""
    load_encoder_weights(model.unet.unet.encoder, config.encoder, config.encoder_weights)


def build_loss(config: ExperimentConfig) -> HierarchicalLoss:
    """The loss on ground truth."""
    return HierarchicalLoss(config.loss_weights, config.loss)


def build_distillation_loss(
    config: DistillationConfig, *, student: ModelConfig | None = None, teacher: ModelConfig | None = None
) -> DistillationLoss:
    """The loss that compares with the teacher; the two networks say how many features each has, None: as a U-Net."""
    own, taught = ((model or ModelConfig()).decoder.feature_channels for model in (student, teacher))
    return DistillationLoss(
        config.head_weights,
        config.terms,
        confidence_threshold=config.confidence_threshold,
        feature_channels=(own, taught),
    )


def build_optimizer(
    model: RgbPersonSegmenter, config: TrainingConfig, *, beside: Iterable[nn.Parameter] = ()
) -> torch.optim.AdamW:
    """AdamW (arXiv:1711.05101); no decay on biases and normalisation, the encoder at its own learning rate.

    Args:
        model: The student.
        config: Learning rate and decay.
        beside: What learns with the student and is no part of it.
    """
    scales = _encoder_scales(model, config)
    groups: dict[tuple[float | None, bool], list[nn.Parameter]] = {}
    for parameter in (*model.parameters(), *beside):
        groups.setdefault((scales.get(id(parameter)), parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "base_lr": config.learning_rate * (1.0 if scale is None else scale),
                "lr": config.learning_rate,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (scale, decays), parameters in groups.items()
        ],
        fused=True,
    )


def _encoder_scales(model: RgbPersonSegmenter, config: TrainingConfig) -> dict[int, float]:
    """Factor of the learning rate by the identity of a parameter of the encoder."""
    stages = encoder_stages(model.unet.unet.encoder)
    scales = stage_scales(len(stages), config.unfreezing.lr_scale if config.unfreezing else 1.0)
    return {
        id(parameter): config.encoder_lr_scale * scale
        for stage, scale in zip(stages, scales, strict=True)
        for part in stage
        for parameter in part.parameters()
    }


def split_paths(config: DataConfig, sample_root: Path) -> tuple[SplitPaths, SplitPaths]:
    """Where train and val are; makes the sample data at ``sample_root`` when the config wants it.

    Raises:
        ConfigError: The config names no data.
        DataError: The folder is not laid out as known.
    """
    if config.sample is not None:
        return find_splits(make_sample(config.sample, sample_root))
    if config.root is not None:
        return find_splits(Path(config.root))
    if config.train_ann and config.val_ann and config.train_images and config.val_images:
        return (
            SplitPaths(Path(config.train_ann), Path(config.train_images)),
            SplitPaths(Path(config.val_ann), Path(config.val_images)),
        )
    raise ConfigError("no data: give --data_root DIR, or --train_ann --val_ann --train_images --val_images")


def make_sample(config: SampleDataConfig, root: Path) -> Path:
    """The folder with the sample data, made if it is not there."""
    return write_drawn_data(
        root,
        train_images=config.train_images,
        val_images=config.val_images,
        image_size=config.image_size,
        seed=config.seed,
        test_images=config.test_images,
    )


def read_splits(
    config: DataConfig,
    sample_root: Path,
    *,
    seed: int,
    scan_cache: Path | None = None,
    after_image: Callable[[], None] = lambda: None,
    with_test: bool = False,
) -> Splits:
    """Reads and checks annotations and images of both splits; ``config.on_bad_sample`` says what bad ones do.

    Args:
        config: Where the data are.
        sample_root: Folder of the embedded sample data.
        seed: ``training.seed``, with which ``config.max_train_images`` are drawn.
        scan_cache: Remembers good images, so that they are not read again: ``<name>.json`` stands for
            ``<name>_train.json`` and ``<name>_val.json``.
        after_image: Called after each image that is checked.
        with_test: Warns of images that the test split of ``config``, where it has one, has in common with these, and of
            a test split that cannot be used: it has no part in what is returned.

    Raises:
        ConfigError: The config names no data.
        DataError: Data are missing or bad, and not to be skipped.
    """
    train, val = split_paths(config, sample_root)
    most = config.max_train_images
    skip = config.on_bad_sample == "skip"
    first, first_scan = _scanned(train, _cache(scan_cache, "train"), after_image, skip=skip, most=most, seed=seed)
    second, second_scan = _scanned(val, _cache(scan_cache, "val"), after_image, skip=skip)
    common = judge_splits(("train", "val"), (first, second), (first_scan, second_scan))
    settle(second.file, common)
    test = own_test_split(config, sample_root) if with_test else None
    if test is not None:
        try:
            people, scan = _scanned(test, _cache(scan_cache, "test"), after_image, skip=skip)
            _also_in({"train": (first, first_scan), "val": (second, second_scan)}, people, scan)
        except DataError as error:
            logger.warning("the test split cannot be used, and training goes on without: %s", error)
    return Splits(first, replace(second, findings=(*second.findings, *common)))


def read_test_split(
    paths: SplitPaths, config: DataConfig, sample_root: Path, *, seed: int, scan_cache: Path | None = None
) -> HeldOut:
    """Reads and checks a test split, and looks for its images among those that ``config`` trains and validates on.

    Args:
        paths: Where it lies.
        config: Of the run that is tested; where its other splits are not at hand, that is a warning.
        sample_root: As for :func:`read_splits`.
        seed: Likewise.
        scan_cache: Likewise.

    Raises:
        DataError: Data are missing or bad, and not to be skipped.
    """
    skip = config.on_bad_sample == "skip"
    people, scan = _scanned(paths, _cache(scan_cache, "test"), skip=skip)
    others: dict[SplitName, tuple[AnnotationSet, Scan]] = {}
    try:
        train, val = split_paths(config, sample_root)
        most = config.max_train_images
        others["train"] = _scanned(train, _cache(scan_cache, "train"), skip=skip, most=most, seed=seed)
        others["val"] = _scanned(val, _cache(scan_cache, "val"), skip=skip)
    except (ConfigError, DataError) as error:
        logger.warning("whether the model has seen images of %s is not known: %s", paths.annotations, error)
    return HeldOut(people, _also_in(others, people, scan))


def _also_in(
    others: Mapping[SplitName, tuple[AnnotationSet, Scan]], people: AnnotationSet, scan: Scan
) -> dict[SplitName, int]:
    """How many images of a test split each of ``others`` has as well; warns of them."""
    counts: dict[SplitName, int] = {}
    for name, (other, other_scan) in others.items():
        pair, scans = (other, people), (other_scan, scan)
        settle(people.file, judge_splits((name, "test"), pair, scans))
        counts[name] = sum(map(len, common_images(pair, scans)))
    return counts


def _cache(scan_cache: Path | None, split: str) -> Path | None:
    return scan_cache and scan_cache.with_stem(f"{scan_cache.stem}_{split}")


def read_split(
    paths: SplitPaths, scan_cache: Path | None = None, *, skip: bool, most: int | None = None, seed: int = 0
) -> AnnotationSet:
    """Annotations and images of one split, checked; bad samples are left out with ``skip``.

    With ``most``, so many of the images are drawn with ``seed``, and only these are checked.

    Raises:
        DataError: Data are missing or bad, and not to be skipped.
    """
    return _scanned(paths, scan_cache, skip=skip, most=most, seed=seed)[0]


def _scanned(
    paths: SplitPaths,
    scan_cache: Path | None,
    after_image: Callable[[], None] = lambda: None,
    *,
    skip: bool,
    most: int | None = None,
    seed: int = 0,
) -> tuple[AnnotationSet, Scan]:
    """:func:`read_split`, and what is known of its images."""
    people = draw_images(read_annotations(*paths, skip_bad=skip), most, seed=seed)
    scan = scan_images(people, cache=scan_cache, after_image=after_image)
    findings = judge_images(people, scan)
    settle(people.file, findings)
    if scan.bad and not skip:
        raise refusal(people, scan.bad)
    people = replace(without(people, scan.bad), findings=(*people.findings, *findings))
    return replace(people, images_fingerprint=scan.fingerprint(people.images.file_names)), scan


def build_training_set(
    config: ExperimentConfig,
    people: AnnotationSet,
    *,
    teacher_size: tuple[int, int] | None = None,
    soft_labels: SoftLabelSource | None = None,
    unlabelled: AnnotationSet | None = None,
) -> PersonDataset | MixedDataset:
    """The training images, augmented, at the model's sizes; at ``teacher_size`` too when there is one.

    With ``soft_labels`` each comes with a teacher's logits to it; with ``unlabelled``, those that ``config`` wants of
    these are mixed in.
    """
    labelled = PersonDataset(
        people,
        image_size=config.model.image_size,
        mask_size=config.model.mask_size,
        augmentation=config.data.augmentation,
        max_rois=config.data.max_rois_per_image,
        seed=config.training.seed,
        teacher_size=teacher_size,
        cache_views=config.data.cache_views,
        soft_labels=soft_labels,
    )
    if config.data.unlabelled is None or unlabelled is None:
        return labelled
    return with_unlabelled(labelled, unlabelled, ratio=config.data.unlabelled.ratio)


def build_validation_set(
    config: ModelConfig,
    people: AnnotationSet,
    *,
    teacher_size: tuple[int, int] | None = None,
    soft_labels: SoftLabelSource | None = None,
) -> PersonDataset:
    """The images as they are, every person of them, at the model's sizes; at ``teacher_size`` too if given.

    With ``soft_labels`` each comes with a teacher's logits to it.
    """
    return PersonDataset(
        people,
        image_size=config.image_size,
        mask_size=config.mask_size,
        augmentation=None,
        max_rois=None,
        seed=0,
        teacher_size=teacher_size,
        soft_labels=soft_labels,
    )
