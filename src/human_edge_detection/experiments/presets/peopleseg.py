"""``peopleseg_unet_*``: the U-Net alone, trained on person or not for every pixel of the whole image.

It is the pre-training of the ``*_peopleseg_*`` teachers: ``model.pretrained_unet_config`` of a teacher names one of
these, ``--pretrained_unet PATH`` gives its weights directly.

    uv run python train_advanced.py --config peopleseg_unet_b3 --data_root DATA
"""

from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config

PLACE = 3
"""Of this module in the list of experiments."""

SIZES = ("b0", "b1", "b3", "b4", "b7")


def peopleseg_name(size: str) -> str:
    """The experiment that pre-trains the U-Net of EfficientNet ``size`` (``b0`` ... ``b7``)."""
    return f"peopleseg_unet_{size}"


def encoder_name(size: str) -> str:
    """``model.encoder`` of EfficientNet ``size``."""
    return f"timm-efficientnet-{size}"


def _peopleseg(size: str) -> ExperimentConfig:
    name = peopleseg_name(size)
    return build_config(
        {
            "name": name,
            "description": f"Person segmentation of the whole image, U-Net {size.upper()}: pre-training.",
            "model": {"encoder": encoder_name(size), "head": "none"},
        },
        source=f"experiment {name!r}",
    )


EXPERIMENTS = tuple(_peopleseg(size) for size in SIZES)
