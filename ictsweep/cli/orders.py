"""The commands that tell a study something: to stop, to try a trial again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ictsweep.cli.options import STORAGE, Storage, Study
from ictsweep.cli.spaces import folder_of
from ictsweep.shell import command

if TYPE_CHECKING:
    from ictsweep.records import Event
    from ictsweep.study.store import StudyFolder


def stop(study: Study, storage: Storage = STORAGE) -> None:
    """Pause a running study, wherever its driver runs: its trials keep checkpoints and leave."""
    from ictsweep.study.orders import outcome

    folder = folder_of(study, storage)
    again = command("resume", folder.place)
    if not folder.driven():
        typer.echo(f"{folder.place}: no driver is running this study; continue it with: {again}")
        return
    typer.echo(f"{folder.place}: asked its driver to stop; trials under way keep checkpoints")
    try:
        since = _awaited(folder)
    except KeyboardInterrupt:
        typer.echo("no longer waiting; the driver has been asked, and stops all the same")
        raise
    typer.echo(outcome(folder.trials(), since, again))


def retry(
    study: Study,
    trial: Annotated[int, typer.Argument(min=0, metavar="TRIAL", help="A trial that failed.")],
    storage: Storage = STORAGE,
) -> None:
    """Have a failed trial run again, from its last checkpoint, when the study is resumed."""
    import time

    from ictsweep.study.orders import once_more
    from ictsweep.study.store import Log

    folder = folder_of(study, storage)
    with Log(folder) as log:  # refused while a driver runs
        events = folder.events()
        last = max((event.time for event in events), default=0.0)
        log.append([once_more(folder.trials(), trial, max(time.time(), last))])
    again = command("resume", folder.place)
    typer.echo(f"trial {trial} runs again when the study is resumed: {again}")


COMMANDS = (stop, retry)


def _awaited(folder: "StudyFolder") -> Sequence["Event"]:
    """Wait until the driver has left, saying which trials have; the log's events since."""
    from ictsweep.study.requests import await_stop

    seen: Sequence[Event] = ()
    for events in await_stop(folder):
        for event in events[len(seen) :]:
            if event.kind == "leave":
                typer.echo(f"trial {event.trial} has left")
        seen = events
    return seen
