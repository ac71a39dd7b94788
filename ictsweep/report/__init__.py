"""The HTML reports of studies, built from their folders alone (neither torch nor ray)."""

from ictsweep.report.build import SHOWN, build, build_comparison
from ictsweep.report.screen import conclusion

__all__ = ["SHOWN", "build", "build_comparison", "conclusion"]
