"""Commands as a person types them (standard library only)."""

import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """A command line of ours, ready to be copied: a path with spaces, quotes or other characters
    that a shell takes for its own stands in quotes.

    >>> command("resume", "my studies/digits")
    "ictsweep resume 'my studies/digits'"
    """
    return shlex.join(["ictsweep", *map(str, words)])
