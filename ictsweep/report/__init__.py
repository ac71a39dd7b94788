"""The HTML report of a study, built from its folder alone (neither torch nor ray)."""

from ictsweep.report.build import build
from ictsweep.report.screen import conclusion

__all__ = ["build", "conclusion"]
