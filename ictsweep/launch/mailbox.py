"""Messages between a trial's workers and the study's driver, through one small actor.

worker  --report-->  mailbox  --next_letter-->  trial driver  --tune.report-->  study driver
worker  <--(answers once recorded)--  mailbox  <--acknowledge---------------------------'
worker  <--verdict--------------------mailbox  <--deliver-------------------------------'
worker  <--wait_dismissed-------------mailbox  <--dismiss-------------------------------'
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ictsweep.answers import Word

Letter = Mapping[str, Any]


class Mailbox:
    """An asyncio actor: every wait is a future, so thousands of workers may wait at no cost.

    A question is answered alike to all the workers of a launch, whenever each of them asks: had one
    been told to leave and another to go on, they would wait for each other for ever.
    """

    def __init__(self) -> None:
        self._letters: dict[int, asyncio.Queue[Letter]] = defaultdict(asyncio.Queue)
        self._news: dict[int, asyncio.Condition] = defaultdict(asyncio.Condition)
        self._groups: dict[int, str] = {}
        self._nodes: dict[int, set[str]] = defaultdict(set)
        self._recorded: set[tuple[int, int, int]] = set()
        self._verdicts: dict[tuple[int, int], str] = {}
        self._dismissed: set[int] = set()
        self._answered: dict[int, dict[tuple[int, ...], str]] = defaultdict(dict)

    async def report(self, trial: int, measurement: Letter) -> str:
        """Hand in a measurement; GO_ON when the study has recorded it, LEAVE if the trial is
        dismissed before.
        """
        self._letters[trial].put_nowait({"measure": dict(measurement)})
        return await self.recorded(trial, measurement["run_kimg"], measurement["kimg"])

    async def give_up(self, trial: int, kind: str, message: str) -> None:
        """Say that the run ended without its measurement."""
        self._letters[trial].put_nowait({"fail": {"kind": kind, "message": message}})

    async def recorded(self, trial: int, run_kimg: int, kimg: int) -> str:
        """GO_ON when the study has recorded what another worker reports, LEAVE if the trial is
        dismissed before.
        """
        key = (trial, run_kimg, kimg)
        await self._until(trial, lambda: key in self._recorded or trial in self._dismissed)
        word = str(Word.GO_ON if key in self._recorded else Word.LEAVE)
        return self._answered[trial].setdefault((run_kimg, kimg), word)

    async def spend(self, trial: int, phases: Letter) -> None:
        """Say where the time of a launch went, at its end: seconds by phase."""
        self._letters[trial].put_nowait({"phases": dict(phases)})

    async def verdict(self, trial: int, rung_kimg: int) -> str:
        """Wait for the study's Word at a rung; LEAVE if the trial is dismissed before."""
        key = (trial, rung_kimg)
        await self._until(trial, lambda: key in self._verdicts or trial in self._dismissed)
        word = self._verdicts.get(key, str(Word.LEAVE))
        return self._answered[trial].setdefault((rung_kimg,), word)

    async def wait_dismissed(self, trial: int) -> None:
        """Return when the trial is asked to leave."""
        await self._until(trial, lambda: trial in self._dismissed)

    async def settle(self, trial: int, group: str) -> None:
        """The trial's workers live in this placement group (hexadecimal id)."""
        self._groups[trial] = group

    async def group_of(self, trial: int) -> str | None:
        """Where the trial's workers settled, if they got that far."""
        return self._groups.get(trial)

    async def stand(self, trial: int, node: str) -> None:
        """A process of the trial runs on this node (hexadecimal id)."""
        self._nodes[trial].add(node)

    async def nodes_of(self, trial: int) -> list[str]:
        """Where the processes of a trial's launch run, as far as they said so."""
        return sorted(self._nodes[trial])

    async def next_letter(self, trial: int, timeout_s: float) -> Letter | None:
        """The trial's next letter, or None when none came in time."""
        try:
            return await asyncio.wait_for(self._letters[trial].get(), timeout_s)
        except TimeoutError:
            return None

    async def acknowledge(self, trial: int, run_kimg: int, kimg: int) -> None:
        """A measurement is on the disk."""
        self._recorded.add((trial, run_kimg, kimg))
        await self._tell(trial)

    async def deliver(self, trial: int, rung_kimg: int, word: str) -> None:
        """A verdict is on the disk: GO_ON or STOP, for good."""
        self._verdicts[trial, rung_kimg] = str(word)
        await self._tell(trial)

    async def dismiss(self, trial: int) -> None:
        """Ask a trial to leave: whether it trains or waits, it keeps its checkpoint and goes."""
        self._dismissed.add(trial)
        await self._tell(trial)

    async def welcome(self, trial: int) -> None:
        """The trial is to be launched (again): what was said to its last processes is forgotten."""
        self._dismissed.discard(trial)
        self._answered.pop(trial, None)
        self._letters.pop(trial, None)
        self._groups.pop(trial, None)
        self._nodes.pop(trial, None)

    async def _until(self, trial: int, true: Callable[[], bool]) -> None:
        news = self._news[trial]
        async with news:
            await news.wait_for(true)

    async def _tell(self, trial: int) -> None:
        news = self._news[trial]
        async with news:
            news.notify_all()


def open_mailbox() -> Any:
    """A new mailbox actor, living as long as the handle's owner and on its machine: those of the
    trials may be taken. It takes no CPU from the trials.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_concurrency": 10_000, "scheduling_strategy": here}
    return ray.remote(Mailbox).options(**options).remote()
