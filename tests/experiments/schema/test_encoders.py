"""The table of encoders, compared with the networks."""

from typing import get_args

import pytest
import segmentation_models_pytorch as smp
import torch

from human_edge_detection.advanced.encoder_stages import unwrapped
from human_edge_detection.experiments.schema.encoders import ENCODER_SIGNATURES, Encoder
from human_edge_detection.files.weight_files import signature_of


def test_no_two_encoders_have_the_same_signature() -> None:
    assert len({(signature.parts, signature.values) for signature in ENCODER_SIGNATURES.values()}) == len(
        ENCODER_SIGNATURES
    )


@pytest.mark.parametrize(
    "encoder",
    [
        name if name in ("mobilenet_v2", "resnet18") else pytest.param(name, marks=pytest.mark.slow)
        for name in get_args(Encoder)
    ],
)
def test_the_table_has_the_signature_of_every_encoder(encoder: Encoder) -> None:
    with torch.device("meta"):
        state = unwrapped(smp.encoders.get_encoder(encoder, weights=None)).state_dict()
    signature = ENCODER_SIGNATURES[encoder]
    assert signature == signature_of({name: tuple(value.shape) for name, value in state.items()})
    assert signature.bytes == sum(value.numel() * value.element_size() for value in state.values())
    assert ENCODER_SIGNATURES.keys() == {*get_args(Encoder)}
