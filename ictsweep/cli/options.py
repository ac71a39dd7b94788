"""Arguments and options that several commands share, with what they say of themselves."""

from pathlib import Path
from typing import Annotated

import typer

Space = Annotated[Path, typer.Argument(metavar="SPACE", help="A search space (YAML).")]
Study = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="A study's folder or URL, or its name under --storage."),
]
Storage = Annotated[
    str,
    typer.Option(
        metavar="PLACE", help="Where studies live: a folder, or a bucket (s3://BUCKET/PREFIX)."
    ),
]
Reports = Annotated[Path, typer.Option(help="Where HTML reports are written.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="A running Ray cluster; default: the one this machine belongs to (`auto` insists on "
        "one), else this machine alone (`local`).",
    ),
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
Checkpoint = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, or a checkpoint's.")
]
Features = Annotated[
    str | None,
    typer.Option(
        help="inception, classifier, cifar_resnet, torchscript or dinov2 (default: the run's own)."
    ),
]
Weights = Annotated[
    Path | None, typer.Option(metavar="PATH", help="The feature network's weights.")
]
Mode = Annotated[
    str | None, typer.Option(help="Of inception: clean, legacy_tensorflow or legacy_pytorch.")
]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...", help="fid, kid, precision, recall, is; fd, kd of other features."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Compare with these data instead of the run's own."),
]

STORAGE = ".ictsweep/studies"
REPORTS = Path("reports")
