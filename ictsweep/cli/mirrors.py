"""The command that makes a study's mirror, and the options by which a running study is followed."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ictsweep.cli.options import STORAGE, Storage, Study
from ictsweep.cli.spaces import folder_of

if TYPE_CHECKING:
    from rich.console import Console

    from ictsweep.mirror.following import Following

MirrorUrl = Annotated[
    str | None,
    typer.Option(
        "--mirror",
        metavar="URL",
        help="Show the study live in an Optuna storage (optuna-dashboard).",
    ),
]
Logs = Annotated[
    str, typer.Option("--log", metavar="NAME,...", help="Log to tensorboard, wandb, mlflow.")
]
Url = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE."
    ),
]


def mirror(study: Study, url: Url, storage: Storage = STORAGE) -> None:
    """Make or repair a study's mirror in an Optuna storage, for optuna-dashboard."""
    from ictsweep.mirror.mirror import mirror, storage_url

    place = storage_url(url)
    folder = folder_of(study, storage)
    mirror(folder, place)
    states = Counter(str(record.state) for record in folder.trials())
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    typer.echo(f"{folder.spec().study!r} in {place!r}: {counted or 'no trials yet'}")


def say_behind(followings: "Sequence[Following]", console: "Console") -> None:
    """Name what could not be brought to the study's end, and what completes it."""
    for each in followings:
        if each.trouble:
            console.print(
                f"{each.what} is behind: {each.trouble}; complete it with: {each.remedy}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip


COMMANDS = (mirror,)
