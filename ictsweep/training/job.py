"""What a run is made of."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ictsweep.config import TrialConfig
from ictsweep.data import Images
from ictsweep.evaluation import Evaluator
from ictsweep.training.clock import Clock


@dataclass(frozen=True, kw_only=True)
class Job:
    """A configuration and what it needs besides: data, yardstick, seed, and where its files go.

    `rungs` are the kimg at which the study is asked whether to go on; `recorded` the kimg already
    in the study's log (an evaluation repeated after a resume is not reported twice). `micro_batch`,
    halved `halvings` times, and `recompute` (activations computed again instead of kept) bound
    memory, never the result. Between evaluations a checkpoint is kept every `checkpoint_every_s`.
    `clock` counts where the time of this launch goes.
    """

    config: TrialConfig
    images: Images
    evaluator: Evaluator
    seed: int
    folder: Path
    rungs: tuple[int, ...] = ()
    recorded: Collection[int] = field(default_factory=frozenset)
    micro_batch: int | None = None
    halvings: int = 0
    recompute: bool = False
    checkpoint_every_s: float = 600.0
    clock: Clock = field(default_factory=Clock)
