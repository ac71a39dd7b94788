"""The first signal asks, the second insists; where nothing is to be kept, the first one ends."""

import io
import os
import signal
from collections.abc import Iterator

import pytest

from ictsweep.interruption import Interruption

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture
def interruption() -> Iterator[tuple[Interruption, io.StringIO]]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    screen = io.StringIO()
    found = Interruption(screen)
    found.listen()
    yield found, screen
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_signal_leaves_at_once(interruption, number):
    found, screen = interruption
    with found.patient():
        os.kill(os.getpid(), number)
        assert found.asked
        assert "running trials keep a checkpoint" in screen.getvalue()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_outside_a_patient_block_the_first_one_ends(interruption):
    found, screen = interruption
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert (found.asked, screen.getvalue()) == (False, "")
