"""Where a running study is shown besides its own screen (heavy imports wait until one is asked
for).
"""

from collections.abc import Callable
from functools import partial

from ictsweep.mirror.following import Following
from ictsweep.mirror.tools import tools
from ictsweep.study.store import StudyFolder

Outlet = Callable[[StudyFolder], Following]


def outlets(mirror: str | None, logs: str) -> tuple[Outlet, ...]:
    """What follows a study into an Optuna storage (by URL) and into tools ("tensorboard,wandb");
    UserError, before anything is made, if it is not there.
    """
    chosen: list[Outlet] = []
    if mirror is not None:
        from ictsweep.mirror.mirror import mirroring, storage_url

        chosen.append(partial(mirroring, url=storage_url(mirror)))
    for tool in tools(logs):
        from ictsweep.mirror.loggers import logging_to

        chosen.append(partial(logging_to, tool))
    return tuple(chosen)
