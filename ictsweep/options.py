"""Arguments and options that several commands share, with what they say of themselves."""

from pathlib import Path
from typing import Annotated

import typer

Space = Annotated[Path, typer.Argument(metavar="SPACE", help="A search space (YAML).")]
Study = Annotated[
    Path, typer.Argument(metavar="STUDY", help="A study's folder, or its name under --storage.")
]
Storage = Annotated[Path, typer.Option(help="Where study folders live.")]
Reports = Annotated[Path, typer.Option(help="Where HTML reports are written.")]
Address = Annotated[
    str | None,
    typer.Option(help="A running Ray cluster (`auto` to find it); default: this machine."),
]
MaxTrials = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many trials at once (default: as many as fit)."),
]
MicroBatch = Annotated[
    int | None,
    typer.Option(min=1, help="Images per forward pass and worker: bounds memory, not the result."),
]
Recompute = Annotated[
    bool,
    typer.Option(
        "--recompute", help="Compute activations again instead of keeping them: less memory."
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
