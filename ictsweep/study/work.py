"""How much one configuration computes and writes (standard library only)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Work:
    """One configuration's work. Operations count a multiplication and an addition as two.

    `step_flop` is that of training, per image: the student forward and backward (three forward
    passes), the teacher forward, and the endpoints that are generated. `evaluation_flop` is that of
    one evaluation: drawing its samples and, where it is known, taking their features.
    `checkpoint_bytes` is the size of one checkpoint, `snapshot_bytes` that of all that one run
    keeps for averages made later.
    """

    step_flop: float
    evaluation_flop: float
    batch: int
    parameters: int
    checkpoint_bytes: int
    snapshot_bytes: int
