"""What a person sees while a study runs: a live table on a terminal, plain lines elsewhere. Reads
the study's folder, nothing else, and of its log only what is new.
"""

from ictsweep.live.screen import console_on, quiet
from ictsweep.live.watcher import snapshot, watch, watching

__all__ = ["console_on", "quiet", "snapshot", "watch", "watching"]
