"""How far long work has come (standard library only).

Long work is an iterator of Progress; its result lies in a file, so that a kill costs little.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total` things, called `unit` ("images"), are safe; total 0 where it is unknown."""

    done: int
    total: int
    unit: str
