import io

import pytest

from human_edge_prediction.command.progress import Progress, shown_time


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def advance(stream: io.StringIO, images: int, seconds: float, total: int | None) -> Progress:
    clock = Clock()
    progress = Progress(stream, total, clock=clock)
    for _ in range(images):
        clock.now += seconds
        progress.advance()
    return progress


def test_now_and_then_a_line_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    advance(stream, 8, 10.0, 100)
    assert stream.getvalue() == (
        "3 of 100 images, 0.10 images/s, 16:10 left\n6 of 100 images, 0.10 images/s, 15:40 left\n"
    )


def test_one_line_that_changes_on_a_terminal_and_gives_way() -> None:
    stream = Terminal()
    progress = advance(stream, 2, 0.5, None)
    assert stream.getvalue().endswith("\r\x1b[K2 images, 2.0 images/s")
    progress.say("failed: x")
    assert stream.getvalue().endswith("2.0 images/s\r\x1b[Kfailed: x\n")


def test_what_was_before_the_first_image_is_not_counted() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), 1, clock=clock)
    clock.now = 60.0
    progress.begin()
    clock.now += 0.5
    progress.advance()
    assert progress.speed == "2.0 images/s"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (125, "2:05"), (3725, "1:02:05")])
def test_times(seconds: float, text: str) -> None:
    assert shown_time(seconds) == text
