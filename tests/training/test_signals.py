"""What a signal does: a request, an interruption where work may be broken off, and only Ctrl-C insists."""

import os
import signal
import time

import pytest

from vqaudio.training.signals import REMINDER, SIGNALS, Interrupted, StopRequest


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0)  # Python looks for signals between two instructions


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_request_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.signal is None
        send(number)
        assert stop.signal is StopRequest.latest is number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGUSR1])
def test_schedulers_may_repeat_themselves(first, second):
    with StopRequest() as stop:
        send(first)
        send(second)
        assert stop.signal is first


@pytest.mark.parametrize("insistent", [True, False])
def test_a_second_ctrl_c_insists_unless_there_are_several_ranks(insistent):
    with StopRequest(insistent) as stop:
        send(signal.SIGINT)
        if insistent:
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
        else:
            send(signal.SIGINT)
        assert stop.signal is signal.SIGINT


def test_work_is_broken_off_where_it_may_be_and_nowhere_else():
    done = []
    with StopRequest() as stop:
        with stop.interruptible():
            done.append("before")
        with pytest.raises(Interrupted), stop.interruptible():
            send(signal.SIGTERM)
            done.append("never")
        with pytest.raises(Interrupted), stop.interruptible():  # the signal has come before
            done.append("never")
        send(signal.SIGTERM)
        done.append("after")
    assert done == ["before", "after"]


class Careless:
    """A destructor in which a signal arrives: Python prints what it raises, and goes on."""

    def __del__(self):
        send(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_that_gets_lost_comes_again():
    with StopRequest() as stop:
        with pytest.raises(Interrupted), stop.interruptible():
            Careless()
            assert stop.signal is signal.SIGTERM
            time.sleep(60)
        time.sleep(2 * REMINDER)  # and then no more


def test_an_interruption_passes_those_who_catch_all_exceptions():
    assert not issubclass(Interrupted, Exception)
