"""The commands that look at a study before it runs and take its results away afterwards."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ictsweep.cli.options import STORAGE, MaxTrials, Space, Storage, Study
from ictsweep.cli.spaces import folder_of
from ictsweep.errors import UserError

if TYPE_CHECKING:
    from ictsweep.notebook import Study as Opened
    from ictsweep.study.preview import Source


def check(
    space: Space,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Assume the speed of t4, v100, a100, h100, ..."),
    ] = None,
    images_per_s: Annotated[
        float | None,
        typer.Option(metavar="X", min=1e-6, help="What one trial trains per second, as measured."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="STUDY", help="Take the speed that an older study measured."),
    ] = None,
    max_trials: MaxTrials = None,
    storage: Storage = STORAGE,
) -> None:
    """Validate a search space and say what it will run and take, without running it."""
    from ictsweep.cli.planned import plan_text
    from ictsweep.live import console_on
    from ictsweep.study.preview import preview, random_problems
    from ictsweep.study.rehearsal import rehearse_study
    from ictsweep.study.space import read_checked

    source = _source(gpu, images_per_s, like, storage)
    spec, document = read_checked(space)
    rehearsal = rehearse_study(spec)
    if rehearsal.images is None or (found := random_problems(spec)):
        raise document.errors(rehearsal.problems or found)
    seen = preview(spec, rehearsal.images, max_trials or spec.resources.max_trials or 1, source)
    console_on(sys.stdout).print(plan_text(seen, rehearsal.facts), soft_wrap=True)
    if rehearsal.problems:
        raise document.errors(rehearsal.problems)


def _source(
    gpu: str | None, images_per_s: float | None, like: str | None, storage: str
) -> "Source":
    from ictsweep.study.preview import Source

    given = [
        name
        for name, value in (("--gpu", gpu), ("--images-per-s", images_per_s), ("--like", like))
        if value is not None
    ]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} say the same in different ways: give one of them")
    folder = None if like is None else folder_of(like, storage)
    return Source(gpu=gpu, images_per_s=images_per_s, like=folder)


def export(
    study: Study,
    to: Annotated[
        Path, typer.Option(metavar="FILE", help="A .csv, .parquet or .yaml file; replaced whole.")
    ],
    measurements: Annotated[
        bool, typer.Option("--measurements", help="The table of evaluations, not that of trials.")
    ] = False,
    trial: Annotated[
        str, typer.Option(metavar="best|N", help="Whose configuration a .yaml file gets.")
    ] = "best",
    storage: Storage = STORAGE,
) -> None:
    """Take a study's results away: tables of its trials or evaluations, or one configuration as a
    search space that `train` and `run` accept."""
    from ictsweep.notebook import Study as Opened
    from ictsweep.tables import FORMATS, write_table

    opened = Opened(folder_of(study, storage))
    if to.suffix in (".yaml", ".yml"):
        if measurements:
            raise UserError(f"--measurements is a table: name a {' or '.join(FORMATS)} file")
        typer.echo(_export_trial(opened, trial, to))
        return
    if to.suffix not in FORMATS:
        raise UserError(f"--to {to}: expected a name that ends in {', '.join(FORMATS)} or .yaml")
    if trial != "best":
        raise UserError(f"--trial {trial} is for a .yaml file; a table has all trials")
    frame = opened.measurements if measurements else opened.trials
    write_table(frame, to)
    typer.echo(f"{to}: {len(frame)} {'evaluations' if measurements else 'trials'}")


def _export_trial(opened: "Opened", trial: str, to: Path) -> str:
    """Write the configuration of a trial; what was written, in a line."""
    from ictsweep.files import write_atomic
    from ictsweep.shell import command
    from ictsweep.study.taken_out import space_around

    number, spec = _number(opened, trial), opened.spec
    record, row = opened.records[number], opened.trials.loc[number]
    value = row.get(f"final.{spec.minimize}")
    scored = "" if value is None or value != value else f": {spec.minimize} {value:.6g}"
    error = row.get(f"final.{spec.minimize}.error")
    scored += f" ± {error:.2g}" if scored and error is not None and error == error else ""
    remarks = [
        f"Trial {number} of the study {spec.study}, {record.state}{scored}.",
        f"Train it as it was: {command('train', to, '--seed', str(record.seed))}",
    ]
    write_atomic(to, space_around(spec, number, record.params, remarks).encode())
    return f"{to}: trial {number}{scored}"


def _number(opened: "Opened", trial: str) -> int:
    """The trial that a person means by `best` or a number."""
    numbers = [record.number for record in opened.records]
    if trial == "best":
        if opened.best is None:
            raise UserError(
                "--trial best: no trial has reached the full budget yet; name one by its number"
            )
        return int(str(opened.best.name))
    if not trial.isdigit() or int(trial) not in numbers:
        known = f"best, or 0 to {numbers[-1]}" if numbers else "nothing: no trial was asked yet"
        raise UserError(f"--trial {trial}: expected {known}")
    return int(trial)


COMMANDS = (check, export)
