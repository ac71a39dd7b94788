"""What a study answers a trial that asks whether to go on, and how a trial's run comes to its end
(standard library only: the mailbox's process must not load torch to pass them on).
"""

from enum import StrEnum


class Word(StrEnum):
    """The study's answer at a rung. LEAVE: keep the checkpoint, release the machine, come back
    later.
    """

    GO_ON = "go_on"
    STOP = "stop"
    LEAVE = "leave"


class Outcome(StrEnum):
    """How a run ended: at its budget, at a rung where the study stopped it, or at a checkpoint
    from which it is to be continued.
    """

    FINISHED = "finished"
    STOPPED = "stopped"
    LEFT = "left"
