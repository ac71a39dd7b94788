"""The commands that show studies: pages on disk, pages over HTTP, pictures for papers."""

from typing import Annotated

import typer

from ictsweep.cli.options import REPORTS, STORAGE, Reports, Storage
from ictsweep.cli.spaces import folder_of
from ictsweep.errors import UserError

Studies = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY...",
        help="A study's folder, URL or name; several are compared with each other.",
    ),
]


def report(
    studies: Studies,
    storage: Storage = STORAGE,
    reports: Reports = REPORTS,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it again as the study goes on, until its end.")
    ] = False,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds between looks, of --watch.")] = 10,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="One page with everything in it, to be sent.")
    ] = False,
    figures: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Also every figure by itself: svg, png or pdf."),
    ] = None,
) -> None:
    """Write a study's HTML report (also while it runs), or compare several studies."""
    from ictsweep.report import SHOWN, build, build_comparison
    from ictsweep.report.stills import check_stills, write_stills
    from ictsweep.report.watch import watch as follow

    folders = [folder_of(study, storage) for study in studies]
    if watch and len(folders) > 1:
        raise UserError("--watch: follows one study; name one")
    if figures is not None and len(folders) > 1:
        raise UserError("--figures: writes those of one study; name one")
    if figures is not None:
        check_stills(figures)
    if len(folders) > 1:
        paths = [folder.path for folder in folders]
        if len({path.resolve() for path in paths}) < len(paths):
            raise UserError("a study is compared with others: one is named twice here")
        typer.echo(build_comparison(paths, reports, single_file=single_file))
        return
    folder = folders[0]
    folder.bring_trials(*SHOWN)
    if watch:
        for page in follow(folder, reports, every_s=every, single_file=single_file):
            typer.echo(page)
    else:
        typer.echo(build(folder.path, reports, single_file=single_file))
    if figures is not None:
        typer.echo(write_stills(folder.path, reports, figures))


def serve(
    reports: Reports = REPORTS,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; others than this machine's are shown to all."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8123,
) -> None:
    """Show the reports to a browser on this machine, until Ctrl-C."""
    from ictsweep.report.serve import serving

    with serving(reports, host, port) as server:
        address, number = server.server_address[:2]
        typer.echo(f"http://{address}:{number}/   (Ctrl-C ends it)")
        server.serve_forever()


COMMANDS = (report, serve)
