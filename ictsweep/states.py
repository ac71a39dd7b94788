"""Where a trial stands, what a verdict tells it, why a run failed, why a driver stopped (standard
library only).
"""

from enum import StrEnum


class State(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class Action(StrEnum):
    """What a verdict tells a trial to do."""

    CONTINUE = "continue"
    STOP = "stop"
    COMPLETE = "complete"
    FAIL = "fail"

    @property
    def state(self) -> State:
        """Where it leaves the trial."""
        return {
            Action.CONTINUE: State.RUNNING, Action.STOP: State.PRUNED,
            Action.COMPLETE: State.COMPLETE, Action.FAIL: State.FAILED,
        }[self]  # fmt: skip


class Failure(StrEnum):
    """Why a trial's run ended without its measurement; each has its own answer (study.retries)."""

    PREEMPTED = "preempted"  # its machine was taken
    LOST = "lost"  # a process died and nobody said why
    OOM = "oom"
    DIVERGED = "diverged"
    BUG = "bug"  # in the user's input or in code
    DISK_FULL = "disk_full"
    STORAGE = "storage"  # unreachable


class Halt(StrEnum):
    """Why a driver stopped before the study's end."""

    BUDGET = "budget"
    FAILURES = "failures"
    STORAGE = "storage"
    CLUSTER = "cluster"  # Ray itself failed
    INTERRUPTED = "interrupted"
    ASKED = "asked"
