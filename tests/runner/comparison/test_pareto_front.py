from human_edge_detection.runner.comparison.pareto_front import Point, pareto_front


def test_the_front_is_what_nobody_beats() -> None:
    slow, quick, beaten, tie = Point("slow", 40, 0.8), Point("quick", 5, 0.6), Point("b", 20, 0.5), Point("t", 41, 0.8)
    assert pareto_front([slow, quick, beaten, tie], smaller_is_better=False) == [quick, slow]
    assert pareto_front([slow, quick, beaten, tie], smaller_is_better=True) == [quick, beaten]
