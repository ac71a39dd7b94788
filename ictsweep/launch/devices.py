"""A GPU is taken over when its last user has gone: a process that was ended gives its memory back
a little later than its place.
"""

import logging
import time

import torch

_log = logging.getLogger(__name__)

_FREE = 0.9  # of the memory: contexts of others take a few hundred MB each
_PATIENCE_S = 60.0
_LOOK_S = 0.5


def wait_until_free(device: torch.device, patience_s: float = _PATIENCE_S) -> bool:
    """Wait until a GPU that is wholly ours is nearly empty, at most `patience_s`; whether it is.
    Somebody outside Ray may use it for good: training begins all the same.
    """
    if device.type != "cuda":
        return True
    until = time.monotonic() + patience_s
    while (share := _free(device)) < _FREE and time.monotonic() < until:
        time.sleep(_LOOK_S)
    if share < _FREE:
        _log.warning("%s: other processes hold %.0f%% of its memory", device, 100 * (1 - share))
    return share >= _FREE


def _free(device: torch.device) -> float:
    free, total = torch.cuda.mem_get_info(device)
    return free / total
