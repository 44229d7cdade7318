import sys
from pathlib import Path

import numpy as np
import pytest
from constant_models import constant_model

from human_edge_detection.benchmarking.artefacts import Artefact
from human_edge_detection.benchmarking.memory import measure_memory
from human_edge_prediction.runtimes import CPU

DESCRIPTION = {"kind": "person_map", "input": {"size": [4, 6]}, "output": {"name": "people", "values": "probabilities"}}


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say")
def test_it_is_the_growth_of_a_process_of_its_own(tmp_path: Path) -> None:
    """A model that holds 16 MiB takes at least these; what this process holds is no part of it."""
    held = np.ones(2**28, np.uint8)
    outputs = {"people": np.zeros((1, 1, 4, 6), np.float32), "weights": np.ones(2**22, np.float32)}
    path = constant_model(tmp_path / "large.onnx", outputs)
    artefact = Artefact("large", path, DESCRIPTION, "foreign", (4, 6), "person_map", takes_rois=False)
    memory = measure_memory(artefact, provider=CPU, threads=1, rois=None)
    assert memory is not None
    assert 15 < memory < 80
    assert held.all()


def test_a_process_that_fails_is_no_number(tmp_path: Path) -> None:
    artefact = Artefact("gone", tmp_path / "gone.onnx", None, "trained", (4, 6), "person_map", takes_rois=False)
    assert measure_memory(artefact, provider=CPU, threads=1, rois=None) is None
