"""The commands that run studies and show them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ictsweep.cli.mirrors import Logs, MirrorUrl, say_behind
from ictsweep.cli.options import (
    REPORTS,
    STORAGE,
    Address,
    MaxTrials,
    MicroBatch,
    Recompute,
    Reports,
    Space,
    Storage,
    Study,
)
from ictsweep.cli.spaces import folder_of, read
from ictsweep.errors import TrainingError
from ictsweep.records import Halt
from ictsweep.shell import command

if TYPE_CHECKING:
    from ictsweep.mirror.following import Following
    from ictsweep.study.session import Place


def run(
    space: Space,
    name: Annotated[str | None, typer.Option(help="Another name for the study.")] = None,
    storage: Storage = STORAGE,
    reports: Reports = REPORTS,
    address: Address = None,
    max_trials: MaxTrials = None,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
    mirror: MirrorUrl = None,
    log: Logs = "",
) -> None:
    """Run a study from its beginning to its report."""
    from ictsweep.mirror.outlets import outlets
    from ictsweep.storage.place import within
    from ictsweep.study.session import Place
    from ictsweep.study.spec import renamed
    from ictsweep.study.store import StudyFolder

    shown = outlets(mirror, log)
    spec, _ = read(space)
    if name is not None:
        spec = renamed(spec, name)
    folder = StudyFolder.create(within(storage, spec.study), spec)
    place = Place(
        folder=folder, address=address, max_trials=max_trials,
        micro_batch=micro_batch, recompute=recompute, begun=spec,
    )  # fmt: skip
    _session(place, reports, [outlet(folder) for outlet in shown])


def resume(
    study: Study,
    storage: Storage = STORAGE,
    reports: Reports = REPORTS,
    address: Address = None,
    max_trials: MaxTrials = None,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
    mirror: MirrorUrl = None,
    log: Logs = "",
    space: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the study should be from now on (its study.yaml)."),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option("--accept-space-change", help="Go on although its space was changed."),
    ] = False,
) -> None:
    """Continue an interrupted study where its log ends; what --max-trials, --micro-batch and
    --recompute said before holds until they say something else.
    """
    from ictsweep.mirror.outlets import outlets
    from ictsweep.study.session import Place

    shown = outlets(mirror, log)
    folder = folder_of(study, storage)
    wanted = None
    if space is not None:
        from ictsweep.study.spec import renamed

        wanted = renamed(read(space)[0], folder.spec().study)
    place = Place(
        folder=folder, address=address, max_trials=max_trials, micro_batch=micro_batch,
        recompute=recompute, space=wanted, accept=accept,
    )  # fmt: skip
    _session(place, reports, [outlet(folder) for outlet in shown])


def promote(
    study: Study,
    budget_kimg: Annotated[int, typer.Option(min=1, help="The new length, in 1000 images.")],
    trial: Annotated[str, typer.Option(metavar="best|N", help="Which trial.")] = "best",
    name: Annotated[str | None, typer.Option(help="The new study's name.")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="On so many seeds.")] = 1,
    storage: Storage = STORAGE,
    reports: Reports = REPORTS,
    address: Address = None,
    max_trials: MaxTrials = None,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
) -> None:
    """Train a study's trial at another length, as a study of its own: continued where its schedules
    allow that, else begun anew.
    """
    from ictsweep.storage.place import within
    from ictsweep.study.carrying import kept_checkpoint, kimg
    from ictsweep.study.promotion import chosen, promotion
    from ictsweep.study.session import Place
    from ictsweep.study.space import sound
    from ictsweep.study.spec import renamed
    from ictsweep.study.store import StudyFolder

    old = folder_of(study, storage)
    spec = old.spec()
    record = chosen(spec, old.trials(), trial)
    kept = kept_checkpoint(old, record.number)
    made = promotion(
        spec, record, old.place, budget_kimg=budget_kimg,
        name=name or f"{spec.study}-{record.number}-{budget_kimg}"[:64], replicates=replicates,
        kept_kimg=kimg(kept) if kept else 0,
    )  # fmt: skip
    new = sound(renamed(made.spec, made.spec.study))
    folder = StudyFolder.create(within(storage, new.study), new)
    how = f"begins anew: {made.anew}" if made.anew else f"continues at {new.origin.kimg} kimg"  # pyright: ignore
    typer.echo(f"{folder.place}: trial {record.number} of {old.place} at {budget_kimg} kimg {how}")
    place = Place(
        folder=folder, address=address, max_trials=max_trials,
        micro_batch=micro_batch, recompute=recompute, begun=new,
    )  # fmt: skip
    _session(place, reports)


def status(
    study: Study,
    storage: Storage = STORAGE,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing it until the study ends or Ctrl-C.")
    ] = False,
) -> None:
    """Say how a study stands (it may be running)."""
    from ictsweep import live

    console, folder = live.console_on(sys.stdout), folder_of(study, storage)
    if watch:
        live.watch(folder, console)
    else:
        console.print(live.snapshot(folder))


COMMANDS = (run, resume, status, promote)


def _session(place: "Place", reports: Path, beside: "Sequence[Following]" = ()) -> None:
    """One driver's session with its screen and what follows it, and the report at its end."""
    from ictsweep.interruption import Interruption
    from ictsweep.live import quiet, snapshot, watching
    from ictsweep.report import SHOWN, build, conclusion
    from ictsweep.study.session import run_session

    folder = place.folder
    log = folder.path / "ray" / "driver.log"
    with quiet(log) as console:
        console.print(
            f"study {folder.place}   (everything else that is said: {log})", highlight=False
        )
        interruption = Interruption(console.file)
        interruption.listen()
        try:
            with watching(folder, console):
                stopped = run_session(place, interruption, beside)
            if stopped is not None and stopped[0] == Halt.INTERRUPTED:
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            console.print(
                f"interrupted; continue with: {command('resume', folder.place)}", highlight=False
            )
            raise
        console.print(snapshot(folder))
        say_behind(beside, console)
        folder.bring_trials(*SHOWN)
        page = build(folder.path, reports)
        console.print(conclusion(folder.path), highlight=False, soft_wrap=True)
        console.print(f"report: {page}", highlight=False, soft_wrap=True)
        if stopped is not None:
            again = command("resume", folder.place)
            console.print(f"stopped before its end: {stopped[1]}; continue with: {again}")
    if stopped is not None and stopped[0] in (Halt.FAILURES, Halt.STORAGE, Halt.CLUSTER):
        raise TrainingError(f"the study stopped early: {stopped[1]}")
