"""What every part of a prepared account can do."""

from typing import Protocol


class Part(Protocol):
    """A bucket, a role, a security group."""

    @property
    def name(self) -> str:
        """What it is called, as in "role ictsweep-head"."""
        ...

    def missing(self) -> list[str]:
        """What has to be done, in words that begin with a verb; empty when it is as it should be.
        Changes nothing.
        """
        ...

    def make(self) -> None:
        """Do it."""
        ...

    def remove(self) -> str:
        """Take the part away, and say what became of it. What is not there is no error."""
        ...
