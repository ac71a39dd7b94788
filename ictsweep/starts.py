"""Where a run's first weights come from."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["CheckpointInit", "EdmInit", "RandomInit"]


@dataclass(frozen=True, kw_only=True)
class RandomInit:
    """Weights drawn from the trial's seed."""

    name: Literal["random"] = "random"


@dataclass(frozen=True, kw_only=True)
class CheckpointInit:
    """The averaged weights of a run of ours: `path` is its folder, or that of one checkpoint.

    Its network and sigma_data must be this trial's. A run of method `edm` is the start that ECT
    and SCT need; what it learnt of augmented pictures is left out where this trial's network has no
    place for it. Take a finished one: a run that goes on replaces its checkpoints.
    """

    name: Literal["checkpoint"] = "checkpoint"
    path: str


@dataclass(frozen=True, kw_only=True)
class EdmInit:
    """Weights published with EDM (Karras et al. 2022, arXiv:2206.00364): `path` is their pickle,
    read without running code from it.
    """

    name: Literal["edm"] = "edm"
    path: str
