"""The command line. Heavy imports live inside the commands: help and errors are instant."""

import errno
import sys
from typing import Annotated

import typer

from ictsweep import __version__
from ictsweep.cli import (
    clusters,
    data,
    doctors,
    mirrors,
    models,
    orders,
    plans,
    reports,
    studies,
)
from ictsweep.disk import FULL
from ictsweep.errors import IctsweepError, UserError

_NO_PLACE = (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)

app = typer.Typer(
    help="Hyperparameter studies of consistency models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="prepare")
app.add_typer(clusters.app, name="cluster")
_COMMANDS = (doctors, plans, studies, reports, orders, mirrors, models)
for _command in (command for module in _COMMANDS for command in module.COMMANDS):
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """The console script: one message and exit code 2 for a user's error, 1 for a full disk or a
    run that failed, 130 for Ctrl-C.
    """
    try:
        app(standalone_mode=True)
    except UserError as error:
        full = isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL
        _fail(str(error), 1 if full else 2)
    except IctsweepError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(*_of_system(error))


def _of_system(error: OSError) -> tuple[str, int]:
    """What the system refused, and the exit code: 2 for a place that cannot be used, 1 for a disk
    that is full or fails.
    """
    what = error.strerror or str(error)
    said = what if error.filename is None else f"{error.filename}: {what}"
    if isinstance(error, _NO_PLACE) or error.errno == errno.EROFS:
        return f"{said}; choose a place that exists and that you may read and write", 2
    return f"{said}; what is on the disk already is safe, and the same command continues", 1


def _fail(message: str, code: int) -> None:
    typer.echo(f"ictsweep: {message}", err=True)
    sys.exit(code)
