"""The mailbox without Ray: what is answered when and to whom, and what a new launch forgets."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ictsweep.answers import Word
from ictsweep.launch.mailbox import Mailbox

MEASURED = {"run_kimg": 4, "kimg": 2, "values": {"fd": 1.0}}


def with_mailbox(play: Callable[[Mailbox], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(play(Mailbox()), 10)

    asyncio.run(run())


async def waits(task: asyncio.Task) -> bool:
    """Whether a question has no answer yet, all that could have answered it being done."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not task.done()


def test_a_measurement_is_answered_when_it_is_recorded() -> None:
    async def play(mailbox: Mailbox) -> None:
        report = asyncio.create_task(mailbox.report(3, MEASURED))
        assert await mailbox.next_letter(3, 1.0) == {"measure": MEASURED}
        await mailbox.acknowledge(3, 4, 1)
        await mailbox.acknowledge(2, 4, 2)
        assert await waits(report)
        await mailbox.acknowledge(3, 4, 2)
        assert await report == Word.GO_ON

    with_mailbox(play)


@pytest.mark.parametrize("word", [Word.GO_ON, Word.STOP])
def test_a_verdict_is_waited_for(word: Word) -> None:
    async def play(mailbox: Mailbox) -> None:
        asked = asyncio.create_task(mailbox.verdict(3, 4))
        await mailbox.deliver(3, 16, Word.STOP)
        await mailbox.deliver(2, 4, Word.STOP)
        assert await waits(asked)
        await mailbox.deliver(3, 4, word)
        assert await asked == word
        assert type(await mailbox.verdict(3, 4)) is str  # a process without this package reads it

    with_mailbox(play)


def test_a_dismissed_trial_leaves_wherever_it_waits() -> None:
    async def play(mailbox: Mailbox) -> None:
        report = asyncio.create_task(mailbox.report(3, MEASURED))
        asked = asyncio.create_task(mailbox.verdict(3, 4))
        listener = asyncio.create_task(mailbox.wait_dismissed(3))
        other = asyncio.create_task(mailbox.wait_dismissed(2))
        assert await waits(listener)
        await mailbox.dismiss(3)
        assert await report == Word.LEAVE
        assert await asked == Word.LEAVE
        await listener
        assert await waits(other)
        other.cancel()
        assert await mailbox.next_letter(3, 1.0) == {"measure": MEASURED}  # it is not lost by that

    with_mailbox(play)


def test_all_workers_of_a_launch_are_told_the_same() -> None:
    """One asks before the verdict that came too late for the other."""

    async def play(mailbox: Mailbox) -> None:
        await mailbox.dismiss(3)
        assert await mailbox.verdict(3, 4) == Word.LEAVE
        await mailbox.deliver(3, 4, Word.GO_ON)
        assert await mailbox.verdict(3, 4) == Word.LEAVE
        await mailbox.deliver(2, 4, Word.STOP)
        await mailbox.dismiss(2)
        assert await mailbox.verdict(2, 4) == Word.STOP  # a verdict stands

    with_mailbox(play)


def test_a_trial_that_is_welcomed_starts_with_its_verdicts_alone() -> None:
    async def play(mailbox: Mailbox) -> None:
        await mailbox.settle(3, "ab")
        await mailbox.dismiss(3)
        assert await mailbox.verdict(3, 4) == Word.LEAVE
        await mailbox.give_up(3, "lost", "gone")
        await mailbox.deliver(3, 4, Word.GO_ON)
        await mailbox.welcome(3)
        assert await mailbox.group_of(3) is None
        assert await mailbox.next_letter(3, 0.01) is None
        assert await mailbox.verdict(3, 4) == Word.GO_ON
        asked = asyncio.create_task(mailbox.verdict(3, 16))
        listener = asyncio.create_task(mailbox.wait_dismissed(3))
        assert await waits(asked)
        assert await waits(listener)
        asked.cancel()
        listener.cancel()

    with_mailbox(play)


def test_letters_come_in_their_order() -> None:
    async def play(mailbox: Mailbox) -> None:
        report = asyncio.create_task(mailbox.report(3, MEASURED))
        assert await waits(report)
        await mailbox.give_up(3, "diverged", "nan")
        assert await mailbox.next_letter(3, 1.0) == {"measure": MEASURED}
        second = await mailbox.next_letter(3, 1.0)
        assert second == {"fail": {"kind": "diverged", "message": "nan"}}
        report.cancel()

    with_mailbox(play)
