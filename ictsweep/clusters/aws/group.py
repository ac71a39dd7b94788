"""The security group: machines talk to each other, and SSH comes from the given addresses alone."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ictsweep.clusters.aws.account import Account, code_of
from ictsweep.clusters.aws.policies import TAG
from ictsweep.errors import UserError


@dataclass(frozen=True)
class Group:
    """A group by its name, in the region's default VPC. `sources` are networks (CIDR)."""

    account: Account
    group: str
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"security group {self.group}"

    def missing(self) -> list[str]:
        """Existence, and exactly the rules wanted: what is open beyond them is closed."""
        found = self._found()
        if found is None:
            return [f"create it, SSH from {', '.join(self.sources)} alone"]
        opened, wanted = _rules(found), self._wanted(found["GroupId"])
        closing = [f"close {_shown(rule)}" for rule in sorted(opened - wanted)]
        return closing + [f"open {_shown(rule)}" for rule in sorted(wanted - opened)]

    def make(self) -> None:
        """Create it, and set its rules."""
        found = self._found()
        if found is None:
            self._create()
            found = self._found()
            assert found is not None
        number, opened = found["GroupId"], _rules(found)
        wanted = self._wanted(number)
        ec2 = self.account.ec2
        for rule in sorted(opened - wanted):
            ec2.revoke_security_group_ingress(GroupId=number, IpPermissions=[_asked(rule)])
        for rule in sorted(wanted - opened):
            ec2.authorize_security_group_ingress(GroupId=number, IpPermissions=[_asked(rule)])

    def remove(self) -> str:
        """Only when no machine is in it."""
        found = self._found()
        if found is None:
            return "is not there"
        try:
            self.account.ec2.delete_security_group(GroupId=found["GroupId"])
        except ClientError as error:
            if code_of(error) == "DependencyViolation":
                return "stays: machines are still in it, and billed. `ray down`, then again"
            raise
        return "removed"

    def _wanted(self, number: str) -> set[tuple[str, int, int, str]]:
        return {("-1", -1, -1, number)} | {("tcp", 22, 22, source) for source in self.sources}

    def _create(self) -> None:
        tags = [{"Key": k, "Value": v} for k, v in TAG.items()]
        self.account.ec2.create_security_group(
            GroupName=self.group,
            Description="machines of ictsweep studies",
            VpcId=self._vpc(),
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )

    def _vpc(self) -> str:
        filters = [{"Name": "is-default", "Values": ["true"]}]
        vpcs = self.account.ec2.describe_vpcs(Filters=filters)["Vpcs"]
        if not vpcs:
            raise UserError(
                f"{self.account.region} has no default VPC, where Ray starts its machines: "
                "`aws ec2 create-default-vpc` makes one"
            )
        return vpcs[0]["VpcId"]

    def _found(self) -> dict[str, Any] | None:
        filters = [
            {"Name": "group-name", "Values": [self.group]},
            {"Name": "vpc-id", "Values": [self._vpc()]},
        ]
        found = self.account.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return found[0] if found else None


def _rules(group: dict[str, Any]) -> set[tuple[str, int, int, str]]:
    """A group's rules as (protocol, first port, last port, source), one source each."""
    return {
        (rule["IpProtocol"], rule.get("FromPort", -1), rule.get("ToPort", -1), source)
        for rule in group["IpPermissions"]
        for source in [
            *(entry["CidrIp"] for entry in rule.get("IpRanges", ())),
            *(entry["CidrIpv6"] for entry in rule.get("Ipv6Ranges", ())),
            *(entry["GroupId"] for entry in rule.get("UserIdGroupPairs", ())),
        ]
    }


def _asked(rule: tuple[str, int, int, str]) -> dict[str, Any]:
    protocol, first, last, source = rule
    ports = {} if protocol == "-1" else {"FromPort": first, "ToPort": last}
    if source.startswith("sg-"):
        return {"IpProtocol": protocol, **ports, "UserIdGroupPairs": [{"GroupId": source}]}
    kind, key = ("Ipv6Ranges", "CidrIpv6") if ":" in source else ("IpRanges", "CidrIp")
    return {"IpProtocol": protocol, **ports, kind: [{key: source}]}


def _shown(rule: tuple[str, int, int, str]) -> str:
    protocol, first, last, source = rule
    if protocol == "-1":
        return f"everything from {'its own machines' if source.startswith('sg-') else source}"
    return f"{protocol} {first if first == last else f'{first}-{last}'} from {source}"
