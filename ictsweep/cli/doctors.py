"""The command that looks a machine and a cluster over before a study is trusted to them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ictsweep.cli.options import STORAGE, Address, Storage
from ictsweep.errors import UserError

if TYPE_CHECKING:
    from ictsweep.doctor.findings import Finding


def doctor(
    space: Annotated[
        Path | None,
        typer.Argument(metavar="[SPACE]", help="A search space whose data every node should see."),
    ] = None,
    address: Address = None,
    storage: Storage = STORAGE,
) -> None:
    """Look over versions, storage, collectives, and the cluster's nodes: a line for each finding,
    exit code 1 if a study could not run.
    """
    from ictsweep.doctor.findings import failed

    found = []
    for finding in _findings(space, address, storage):
        typer.echo(str(finding))
        found.append(finding)
    if failed(found):
        raise typer.Exit(1)


COMMANDS = (doctor,)


def _findings(space: Path | None, address: str | None, place: str) -> Iterator["Finding"]:
    from ictsweep.doctor.collectives import collectives
    from ictsweep.doctor.findings import fail, ok
    from ictsweep.doctor.storage import storage
    from ictsweep.doctor.versions import versions

    data, digest = _data(space)
    yield from versions()
    yield from storage(place)
    yield from collectives()
    if digest is not None:
        yield ok("data", f"{space}: {digest[:16]}")
    try:
        yield from _of_cluster(address, place, data, digest)
    except UserError as error:
        yield fail("cluster", str(error), "see clusters/README.md")


def _data(space: Path | None) -> tuple[Any, str | None]:
    """The data that a search space names, and the digest of their contents here."""
    if space is None:
        return None, None
    from ictsweep.config import trial_config
    from ictsweep.data import load
    from ictsweep.study.rehearsal import placed
    from ictsweep.study.space import read_checked

    data = trial_config(placed(read_checked(space)[0]).trial).data
    return data, load(data).digest


def _of_cluster(
    address: str | None, place: str, data: Any, digest: str | None
) -> Iterator["Finding"]:
    from ictsweep.doctor.nodes import judged_nodes, judged_orphans
    from ictsweep.doctor.versions import installed
    from ictsweep.launch.cluster import cluster
    from ictsweep.launch.inspection import COMPARED, nodes, orphans, summary
    from ictsweep.storage.place import bucket_place

    seen = None if bucket_place(place) is not None else Path(place)
    with cluster(address):
        yield summary()
        yield from judged_nodes(nodes(seen, data), installed(COMPARED), digest)
        yield from judged_orphans(orphans())
