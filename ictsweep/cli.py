"""The command line. Heavy imports live inside the commands: help and errors are instant."""

import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ictsweep import __version__
from ictsweep.errors import IctsweepError, TrainingError, UserError
from ictsweep.options import (
    Address,
    MaxTrials,
    MicroBatch,
    Recompute,
    Reports,
    Run,
    Space,
    Storage,
    Study,
)

if TYPE_CHECKING:
    from ictsweep.study.session import Place
    from ictsweep.study.spec import StudySpec
    from ictsweep.study.store import StudyFolder

app = typer.Typer(
    help="Hyperparameter studies of consistency models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_STORAGE = Path(".ictsweep/studies")
_REPORTS = Path("reports")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def check(space: Space) -> None:
    """Validate a search space and say what it will run, without running it."""
    from ictsweep.live import console_on
    from ictsweep.study.plan import plan

    console_on(sys.stdout).print(plan(*_read(space)))


@app.command()
def run(
    space: Space,
    name: Annotated[str | None, typer.Option(help="Another name for the study.")] = None,
    storage: Storage = _STORAGE,
    reports: Reports = _REPORTS,
    address: Address = None,
    max_trials: MaxTrials = None,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
) -> None:
    """Run a study from its beginning to its report."""
    from ictsweep.study.session import Place
    from ictsweep.study.spec import renamed
    from ictsweep.study.store import StudyFolder

    spec, _ = _read(space)
    if name is not None:
        spec = renamed(spec, name)
    folder = StudyFolder.create(storage / spec.study, spec)
    place = Place(
        folder=folder, address=address, max_trials=max_trials,
        micro_batch=micro_batch, recompute=recompute,
    )  # fmt: skip
    _session(place, reports)


@app.command()
def resume(
    study: Study,
    storage: Storage = _STORAGE,
    reports: Reports = _REPORTS,
    address: Address = None,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
) -> None:
    """Continue an interrupted study where its log ends."""
    from ictsweep.study.session import Place

    folder = _folder(study, storage)
    place = Place(folder=folder, address=address, micro_batch=micro_batch, recompute=recompute)
    _session(place, reports)


@app.command()
def train(
    space: Space,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the trial block."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path(".ictsweep/runs/trial"),
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
) -> None:
    """Train the trial block once, at full budget, without Ray (also under torchrun)."""
    from ictsweep.study.rehearsal import rehearse
    from ictsweep.study.space import overridden
    from ictsweep.training import train_once

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    spec, _ = _read(space)
    config = overridden(spec, set_ or [])
    if problems := rehearse(config):
        raise UserError("\n".join(f"--set: {problem}" for problem in problems))
    try:
        train_once(
            config, out=out, cache=out / ".cache", seed=seed,
            micro_batch=micro_batch, recompute=recompute,
        )  # fmt: skip
    except KeyboardInterrupt:
        kept = any((out / "checkpoints").glob("*/meta.json"))
        rest = "continues it from its last checkpoint" if kept else "begins anew: none was kept yet"
        typer.echo(f"interrupted; the same command {rest}", err=True)
        raise


@app.command()
def ema(
    run: Run,
    sigma_rel: Annotated[float, typer.Option(help="Relative width of the average, 0 to 0.28.")],
    out: Annotated[Path, typer.Option(help="A new folder for the averaged weights.")],
) -> None:
    """Make an average of another width from a run's snapshots (post_hoc.snapshots)."""
    from ictsweep.training.reconstruct import write_average

    made = write_average(run, sigma_rel, out)
    typer.echo(
        f"{out}: width {sigma_rel:g} at {made.images / 1000:g} kimg, from {made.snapshots} "
        f"snapshots; its profile is {made.error:.2%} off the exact one"
    )


@app.command()
def level(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a checkpoint's.")],
    tries: Annotated[int, typer.Option(min=2, help="How many levels are tried.")] = 10,
    low: Annotated[float, typer.Option(help="The lowest level to try.")] = 0.2,
    high: Annotated[float, typer.Option(help="The highest level to try.")] = 10.0,
    images: Annotated[
        int | None, typer.Option(min=32, help="Samples per try (default: as evaluated).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the latents.")] = 0,
) -> None:
    """Search the best intermediate level of two-step sampling for a trained model."""
    from ictsweep.training.level import search_level

    search_level(run, tries=tries, low=low, high=high, images=images, seed=seed, say=typer.echo)


@app.command()
def status(study: Study, storage: Storage = _STORAGE) -> None:
    """Say how a study stands (it may be running)."""
    from ictsweep.live import console_on, snapshot

    console_on(sys.stdout).print(snapshot(_folder(study, storage)))


@app.command()
def report(study: Study, storage: Storage = _STORAGE, reports: Reports = _REPORTS) -> None:
    """Write a study's HTML report (also while it runs)."""
    from ictsweep.report import build

    typer.echo(build(_folder(study, storage).path, reports))


def _read(space: Path) -> tuple["StudySpec", list[str]]:
    """The spec of a file, tried on the data and the first weights that it names, and what that
    showed, in lines.
    """
    from ictsweep.study.rehearsal import placed, rehearse_study
    from ictsweep.study.space import read_checked

    spec, document = read_checked(space)
    problems, facts = rehearse_study(spec)
    if problems:
        raise document.errors(problems)
    return placed(spec), facts


def _folder(study: Path, storage: Path) -> "StudyFolder":
    """A study by path, or by name under the storage."""
    from ictsweep.study.store import StudyFolder

    named = storage / study
    return StudyFolder.open(named if named.is_dir() and not study.is_dir() else study)


def _session(place: "Place", reports: Path) -> None:
    """One driver's session with its screen, and the report at its end."""
    from ictsweep.live import quiet, snapshot, watching
    from ictsweep.report import build, conclusion
    from ictsweep.study.session import run_session

    signal.signal(signal.SIGTERM, _interrupt)
    folder = place.folder
    log = folder.path / "ray" / "driver.log"
    with quiet(log) as console:
        console.print(
            f"study {folder.path}   (everything else that is said: {log})", highlight=False
        )
        try:
            with watching(folder, console):
                halted = run_session(place)
        except KeyboardInterrupt:
            console.print(
                f"interrupted; continue with: ictsweep resume {folder.path}", highlight=False
            )
            raise
        console.print(snapshot(folder))
        page = build(folder.path, reports)
        console.print(conclusion(folder.path), highlight=False, soft_wrap=True)
        console.print(f"report: {page}", highlight=False, soft_wrap=True)
    if halted:
        raise TrainingError(f"the study stopped early: {halted}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """The console script: one message and exit code 2 for a user's error, 130 for Ctrl-C."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        _fail(str(error), 2)
    except IctsweepError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error}; what the log holds is safe", 1)


def _fail(message: str, code: int) -> None:
    typer.echo(f"ictsweep: {message}", err=True)
    sys.exit(code)
