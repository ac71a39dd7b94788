"""The HTML report of a study, built from its folder alone (neither torch nor ray)."""

from ictsweep.report.build import build

__all__ = ["build"]
