import cv2
import numpy as np
import pytest
from benchmark_rows import row

from human_edge_detection.benchmarking.pareto import draw_pareto
from human_edge_detection.benchmarking.records import Benchmark, Row, Settings


def picture(*rows: Row) -> np.ndarray:
    content = draw_pareto(Benchmark(rows, rows[0].model, Settings(), machine={}))
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


@pytest.mark.parametrize("scores", [{}, {"person_iou": 0.7, "miou": 0.5}])
def test_it_draws_what_there_is(scores: dict[str, float]) -> None:
    image = picture(row("a", **scores), row("b", median_ms=3.0))
    assert image.std() > 5
    assert image.shape[1] > 1000 if "miou" in scores else image.shape[1] < 800
