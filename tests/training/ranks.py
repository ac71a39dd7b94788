"""Two torchrun workers, one of which is asked to leave: run by test_leaving.py."""

import sys
from pathlib import Path
from typing import Any

import torch

from ictsweep.answers import Outcome
from ictsweep.training import LocalRuntime, Trainer
from tests.training.small import config, job, same

# 600 images are 3 batches: rank 0 draws two of them, rank 1 one.
WHAT = config(budget_kimg=2, evaluate={"every_kimg": 1, "images": 600, "grid": 16})


class Asked(LocalRuntime):
    """Asks the worker of rank `whom` to leave, from `seen` images on, at its `times`-th look."""

    run: Trainer | None = None

    def __init__(self, folder: Path, whom: int, seen: int, times: int) -> None:
        super().__init__(folder)
        self._whom, self._seen, self._times = whom, seen, times

    @property
    def leaving(self) -> bool:
        if self.run is None or self.rank != self._whom or self.run.seen < self._seen:
            return False
        self._times -= 1
        return self._times < 0


def main(folder: Path, cache: Path) -> None:
    torch.set_num_threads(1)
    whole = _trained(folder / "whole", cache, LocalRuntime(folder / "whole"))
    cases: list[tuple[Any, ...]] = [(whom, 1200, 0) for whom in (0, 1)]
    cases += [(0, 1000, 1), (1, 1000, 0), (1, 2000, 1)]  # between draws, before one, at the end
    for number, case in enumerate([*cases, (0, 2000, 3)]):
        place = folder / str(number)
        runtime = Asked(place, *case)
        first = Trainer(job(place, cache, config=WHAT), runtime)
        runtime.run = first
        assert first.fit() is Outcome.LEFT, case
        assert first.seen == {1200: 1400}.get(case[1], case[1]), (case, first.seen)
        second = _trained(place, cache, LocalRuntime(place))
        assert same(whole, second), case
        if not runtime.rank:
            print("as if they had stayed", flush=True)
    runtime.close()


def _trained(place: Path, cache: Path, runtime: LocalRuntime) -> Trainer:
    run = Trainer(job(place, cache, config=WHAT), runtime)
    assert run.fit() is Outcome.FINISHED
    return run


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
