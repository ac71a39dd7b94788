"""The commands that prepare and check clusters."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import typer

from ictsweep.errors import SpecError, UserError

app = typer.Typer(
    help="Check a cluster file before it costs money; prepare an AWS account for one.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A cluster file (YAML).")]


@app.command()
def check(file: File) -> None:
    """Say all that is wrong with a cluster file, a line each; nothing is started or asked."""
    from ictsweep.clusters.file import read_cluster

    given = read_cluster(file)
    try:
        from ictsweep.clusters.check import check, remarks

        problems = check(given, Path())
    except ModuleNotFoundError as error:
        raise _without(error) from None
    if problems:
        raise SpecError("\n".join(given.lines(problems)))
    for remark in remarks(given, Path.home()):
        typer.echo(f"{file}: {remark}")
    typer.echo(f"{file}: nothing wrong")


@app.command("prepare-aws")
def prepare_aws(
    bucket: Annotated[str, typer.Option(help="Where datasets and studies go: its name on S3.")],
    region: Annotated[str, typer.Option(help="Where the machines will be.")] = "us-west-2",
    ssh_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK",
            help="Who may log in, as 203.0.113.7/32; may be repeated (default: your own address).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Undo it. Data stay; so does what is in use.")
    ] = False,
) -> None:
    """Prepare an AWS account for clusters/aws.yaml: bucket, roles, security group. Free of charge;
    doing it again repairs what changed.
    """
    try:
        from ictsweep.clusters.aws.account import open_account, own_address
        from ictsweep.clusters.aws.prepare import parts, prepare, unprepare
    except ModuleNotFoundError as error:
        raise _without(error) from None
    account = open_account(region)
    sources = [_network(text) for text in ssh_from or ([] if remove else [own_address()])]
    wanted = parts(account, bucket, sources)
    doing = unprepare(account, wanted, dry_run=dry_run) if remove else None
    for line in doing or prepare(wanted, dry_run=dry_run):
        typer.echo(line)


def _network(text: str) -> str:
    """A network as AWS writes it; UserError if it is none, or the whole world."""
    try:
        network = ip_network(text)
    except ValueError as error:
        raise UserError(f"--ssh-from {text}: {error}") from None
    if network.prefixlen == 0:
        raise UserError(f"--ssh-from {text}: that is the whole world; name your own network")
    return str(network)


def _without(error: ModuleNotFoundError) -> UserError:
    """What to install for a library that is missing."""
    return UserError(f"{error.name} is not installed: pip install 'ictsweep[aws]'")
