"""Messages between a trial's workers and the study's driver, through one small actor.

worker  --report-->  mailbox  --next_letter-->  trial driver  --tune.report-->  study driver
worker  <--(returns once recorded)--  mailbox  <--acknowledge--------------------------'
worker  <--verdict--------------------mailbox  <--deliver------------------------------'
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import ray

Letter = Mapping[str, Any]


class Mailbox:
    """An asyncio actor: every wait is a future, so thousands of workers may wait at no cost."""

    def __init__(self) -> None:
        self._letters: dict[int, asyncio.Queue[Letter]] = defaultdict(asyncio.Queue)
        self._recorded: dict[tuple[int, int, int], asyncio.Event] = defaultdict(asyncio.Event)
        self._groups: dict[int, str] = {}
        self._verdicts: dict[tuple[int, int], bool] = {}
        self._decided: dict[tuple[int, int], asyncio.Event] = defaultdict(asyncio.Event)

    async def report(self, trial: int, measurement: Letter) -> None:
        """Hand in a measurement; returns when the study has recorded it."""
        self._letters[trial].put_nowait({"measure": dict(measurement)})
        await self._recorded[trial, measurement["run_kimg"], measurement["kimg"]].wait()

    async def give_up(self, trial: int, kind: str, message: str) -> None:
        """Say that the run ended without its measurement."""
        self._letters[trial].put_nowait({"fail": {"kind": kind, "message": message}})

    async def verdict(self, trial: int, rung_kimg: int) -> bool:
        """Wait for the verdict at a rung: whether to go on."""
        await self._decided[trial, rung_kimg].wait()
        return self._verdicts[trial, rung_kimg]

    async def settle(self, trial: int, group: str) -> None:
        """The trial's workers live in this placement group (hexadecimal id)."""
        self._groups[trial] = group

    async def group_of(self, trial: int) -> str | None:
        """Where the trial's workers settled, if they got that far."""
        return self._groups.get(trial)

    async def next_letter(self, trial: int, timeout_s: float) -> Letter | None:
        """The trial's next letter, or None when none came in time."""
        try:
            return await asyncio.wait_for(self._letters[trial].get(), timeout_s)
        except TimeoutError:
            return None

    async def acknowledge(self, trial: int, run_kimg: int, kimg: int) -> None:
        """A measurement is on the disk."""
        self._recorded[trial, run_kimg, kimg].set()

    async def deliver(self, trial: int, rung_kimg: int, go_on: bool) -> None:
        """A verdict is on the disk."""
        self._verdicts[trial, rung_kimg] = go_on
        self._decided[trial, rung_kimg].set()


def open_mailbox() -> Any:
    """A new mailbox actor, living as long as the handle's owner. It takes no CPU from the
    trials.
    """
    return ray.remote(Mailbox).options(num_cpus=0, max_concurrency=10_000).remote()
