"""The trained model as modules with plain tensors as inputs and outputs, which can be traced."""

from __future__ import annotations

import copy
from typing import Protocol

from torch import Tensor, nn

from human_edge_detection.advanced.deployed_head import deployed
from human_edge_detection.advanced.detector import Detector, find_persons
from human_edge_detection.advanced.fast_layers.batch_norm_folding import fold_batch_norm
from human_edge_detection.advanced.fast_layers.replace import use_plain_decoder_blocks
from human_edge_detection.advanced.hierarchical_segmentation_rgb import Aligner, RgbPersonSegmenter
from human_edge_detection.advanced.hierarchical_segmentation_unet import PersonNetwork
from human_edge_detection.advanced.portable_align import align_rois_portable
from human_edge_detection.advanced.roi_align import align_rois


class Exportable(Protocol):
    """What can be exported."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    def deployed(self) -> nn.Module:
        """The module to trace: the same outputs up to rounding, in less time."""
        ...


class ExportableStudent(nn.Module):
    """The model with plain tensors as outputs: ``(masks, binary_masks)``, or ``(binary_masks,)`` without a roi head."""

    def __init__(self, model: RgbPersonSegmenter) -> None:
        super().__init__()
        self.model = model

    @property
    def has_rois(self) -> bool:
        """Whether the model has a roi head."""
        return self.model.head is not None

    @property
    def outputs(self) -> tuple[str, ...]:
        """As of :class:`Exportable`."""
        return ("masks", "binary_masks") if self.has_rois else ("binary_masks",)

    def deployed(self) -> nn.Module:
        """As of :class:`Exportable`."""
        return ExportableStudent(_deployed(self.model, detector=None)).eval()

    def forward(self, images: Tensor, rois: Tensor | None = None) -> tuple[Tensor, ...]:
        """The outputs of the model.

        Args:
            images: ``(B, 3, IH, IW)`` float32 RGB in [0, 1].
            rois: ``(N, 5)``, see :class:`~human_edge_detection.structures.Batch`; None without roi head.

        Returns:
            ``masks (N, 3, H, W)`` logits and ``binary_masks (B, 1, IH, IW)`` person probabilities in [0, 1].
        """
        output = self.model(images, images.new_zeros(0, 5) if rois is None else rois)
        binary_masks = output.aux["full_image_logits"].sigmoid()
        return (binary_masks,) if rois is None else (output.logits, binary_masks)


class PortableStudent(ExportableStudent):
    """The same for runtimes with few operators: of one image, with rois that are cropped by matrix products."""

    def deployed(self) -> nn.Module:
        """As of :class:`Exportable`."""
        model = _deployed(self.model, detector=None, aligner=align_rois_portable)
        use_plain_decoder_blocks(model)
        return PortableStudent(model).eval()


class ExportableDetector(nn.Module):
    """The model that finds the persons itself and looks at them in the same pass.

    Only traced: the trained model is asked in two passes, for boxes and then for masks in them.

    Args:
        model: With a detector and a roi head.
        max_persons: Found in an image.
    """

    outputs = ("boxes", "scores", "masks", "binary_masks")

    def __init__(self, model: RgbPersonSegmenter, *, max_persons: int) -> None:
        super().__init__()
        self.model = model
        self.max_persons = max_persons

    def deployed(self) -> nn.Module:
        """As of :class:`Exportable`."""
        detector = copy.deepcopy(self.model.detector)
        assert detector is not None
        fold_batch_norm(detector)
        return ExportableDetector(_deployed(self.model, detector=detector), max_persons=self.max_persons).eval()

    def forward(self, images: Tensor, min_score: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the model.

        Args:
            images: ``(B, 3, IH, IW)`` float32 RGB in [0, 1].
            min_score: ``()`` who is less likely is not found, and costs no time in the head.

        Returns:
            ``boxes (N, 5)``, which are rois, ``scores (N,)`` in [0, 1], ``masks (N, 3, H, W)`` logits and
            ``binary_masks (B, 1, IH, IW)`` person probabilities.
        """
        model = self.model
        assert model.detector is not None
        assert model.head is not None
        normalised = model.unet.normalise(images)
        decoded, person = model.unet(normalised)
        boxes, scores = find_persons(**model.detector(decoded), most=self.max_persons).as_rois(min_score)
        masks, _ = model.head(model.align(normalised, decoded, person, boxes))
        return boxes, scores, masks, model.at_image_size(person, images).sigmoid()


def _deployed(
    model: RgbPersonSegmenter, *, detector: Detector | None, aligner: Aligner = align_rois
) -> RgbPersonSegmenter:
    """``model`` with folded normalisation and its head rewritten for export, and with this detector and aligner.

    The exported model is compared with ``model`` itself.
    """
    unet = fold_batch_norm(copy.deepcopy(model.unet))
    assert isinstance(unet, PersonNetwork)
    head = None if model.head is None else deployed(model.head)
    return RgbPersonSegmenter(
        unet, head, roi_size=model.roi_size, mask_size=model.mask_size, detector=detector, aligner=aligner
    )
