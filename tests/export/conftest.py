"""A network with random weights, stored as training stores it; shallow, because tracing takes time for each layer."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch

from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.schema import build_config

torch.set_num_threads(1)


@pytest.fixture(scope="package", autouse=True)
def shallow_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smp, "Unet", partial(smp.Unet, encoder_depth=2, decoder_channels=(16, 16)))
        yield


@pytest.fixture(scope="package")
def write_checkpoint(shallow_networks: None, tiny_coco: Path) -> Callable[..., RunPaths]:
    """``write_checkpoint(run_root, seed=0, root=None, **model)``: a run folder with its best checkpoint."""

    def write(run_root: Path, *, seed: int = 0, root: Path | None = None, **model: Any) -> RunPaths:
        fields = {"encoder": "mobilenet_v2", "encoder_weights": "none", "head_channels": 8, "image_size": [64, 64]}
        config = build_config(
            {
                "name": run_root.name,
                "data": {"root": str(root or tiny_coco), "num_workers": 0},
                "model": {**fields, "roi_size": [16, 12], "mask_size": [32, 24], **model},
            }
        )
        torch.manual_seed(seed)
        paths = RunPaths(run_root)
        save_checkpoint(paths.best, Checkpoint(config, build_model(config.model).state_dict(), 3, {}, "data"))
        return paths

    return write
