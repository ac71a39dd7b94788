"""What an inspection found: one line each, with what to do (standard library only)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. A study runs with a warning, and does not with a failure."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked at, what was found, and what to do about it ("" where all is well)."""

    level: Level
    what: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f": {self.advice}" if self.advice else ""
        return f"{self.level:<5} {self.what:<12} {self.found}{advice}"


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding(level=Level.OK, what=what, found=found)


def warn(what: str, found: str, advice: str) -> Finding:
    """A study runs, but somebody should know."""
    return Finding(level=Level.WARN, what=what, found=found, advice=advice)


def fail(what: str, found: str, advice: str) -> Finding:
    """A study cannot run like this."""
    return Finding(level=Level.FAIL, what=what, found=found, advice=advice)


def failed(findings: Iterable[Finding]) -> bool:
    """Whether a study cannot run."""
    return any(finding.level is Level.FAIL for finding in findings)
