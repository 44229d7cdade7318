import os
import signal
import threading

import pytest

from human_edge_detection.engine.training.interruption import Interruption
from human_edge_detection.signals import exit_code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_the_first_signal_only_asks(number: signal.Signals) -> None:
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # the tests may run under nohup, which has SIGHUP ignored
    try:
        with Interruption() as interruption:
            interruption.check()
            os.kill(os.getpid(), number)
            assert interruption.requested
            with pytest.raises(KeyboardInterrupt) as raised:
                interruption.check()
            assert exit_code(raised.value) == (130 if number == signal.SIGINT else 75)
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested


def test_a_scheduler_that_signals_twice_still_gets_the_state_saved() -> None:
    with Interruption() as interruption:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert interruption.requested == signal.SIGUSR1


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            interruption.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_come_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), Interruption():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_the_callers_handling_stays() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Interruption() as interruption:
            interruption.check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_where_it_waits_a_signal_interrupts_at_once(number: signal.Signals, code: int) -> None:
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt) as raised, interruption.at_once():
            os.kill(os.getpid(), number)
        assert (exit_code(raised.value), interruption.requested) == (code, number)
        os.kill(os.getpid(), signal.SIGTERM)  # the state is being saved
        with pytest.raises(KeyboardInterrupt), interruption.at_once():
            raise AssertionError("the signal came before")
