"""Prepare an account for clusters, or undo it."""

from collections.abc import Iterator, Sequence

from ictsweep.clusters.aws.account import Account, told
from ictsweep.clusters.aws.bucket import Bucket
from ictsweep.clusters.aws.group import Group
from ictsweep.clusters.aws.parts import Part
from ictsweep.clusters.aws.policies import HEAD, TAG, WORKER, head_policy, worker_policy
from ictsweep.clusters.aws.roles import Role, SpotRole
from ictsweep.errors import UserError

GROUP = "ictsweep"


def parts(account: Account, bucket: str, sources: Sequence[str]) -> list[Part]:
    """All that clusters/aws.yaml counts on, in the order in which it is made."""
    return [
        Bucket(account, bucket),
        Role(account, WORKER, worker_policy(bucket)),
        Role(account, HEAD, head_policy(bucket, account.number)),
        Group(account, GROUP, tuple(sources)),
        SpotRole(account),
    ]


def prepare(wanted: Sequence[Part], *, dry_run: bool) -> Iterator[str]:
    """Make what is missing; a line for each part. A dry run says what it would do."""
    for part in wanted:
        with told():
            todo = part.missing()
            if todo and not dry_run:
                part.make()
        what = "; ".join(todo)
        if not todo:
            yield f"{part.name}: as it should be"
        else:
            yield f"{part.name}: {'would ' if dry_run else 'done: '}{what}"


def unprepare(account: Account, wanted: Sequence[Part], *, dry_run: bool) -> Iterator[str]:
    """Take everything away that holds no data; refused while machines run, or where a part is not
    what it should be (a bucket of another region: roles belong to all regions, and machines of that
    one may count on them).
    """
    with told():
        running = machines(account)
        for part in wanted:
            part.missing()
    if running:
        raise UserError(
            f"{len(running)} machine(s) of this project run in {account.region} and are billed: "
            f"{', '.join(running)}. `ray down -y clusters/aws.yaml` ends them; then this again."
        )
    for part in reversed(wanted):
        if dry_run:
            yield f"{part.name}: would be removed, unless it holds data"
            continue
        with told():
            became = part.remove()
        yield f"{part.name}: {became}"


def machines(account: Account) -> list[str]:
    """The project's machines that are billed now: id, type and kind."""
    filters = [
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        *({"Name": f"tag:{key}", "Values": [value]} for key, value in TAG.items()),
    ]
    pages = account.ec2.get_paginator("describe_instances").paginate(Filters=filters)
    found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
    return [f"{i['InstanceId']} ({i['InstanceType']}, {i['State']['Name']})" for i in found]
