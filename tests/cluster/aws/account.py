"""An AWS account in a network: moto's API, and machines that are really there.

What moto says is running is made a machine with an SSH server, at the addresses and with the key
that moto names; what it says is terminated loses its power; and a machine that powers itself off is
terminated or stopped, as its instance asked for.
"""

import threading
from collections.abc import Mapping
from typing import Any

import boto3

from tests.cluster.aws import metadata
from tests.cluster.aws.machines import Machine
from tests.cluster.aws.transcript import Transcript
from tests.cluster.hosts import Network
from tests.storage.server import Server

REGION = "us-west-2"
_API, _PORT = "198.18.0.1", 5000
ENDPOINT = f"http://{_API}:{_PORT}"
OWNER = {
    "AWS_ENDPOINT_URL": ENDPOINT, "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}  # fmt: skip
_LOOK_S = 0.5
_ON = ("pending", "running")
Instance = Mapping[str, Any]  # as EC2 describes it


class Account:
    """An account, empty at first. `machines` are those that run, by instance id."""

    def __init__(self, network: Network, transcript: Transcript) -> None:
        self.network, self.transcript = network, transcript
        self.machines: dict[str, Machine] = {}
        self.failed: BaseException | None = None
        self._known: set[str] = set()
        self._closed = threading.Event()
        for address in (_API, metadata.ADDRESS):
            network.serve(address)
        with network.inside():
            self.api = Server(_API, _PORT)
            self._metadata = metadata.Metadata(REGION)
        self._agent = threading.Thread(target=self._follow, daemon=True)
        self._agent.start()

    def client(self, service: str) -> Any:
        """A client of the account's owner; to be used inside its network."""
        return boto3.Session("testing", "testing", region_name=REGION).client(
            service, endpoint_url=ENDPOINT
        )

    def instances(self) -> list[Instance]:
        """All instances that EC2 knows, the ended ones too."""
        with self.network.inside():
            answer = self.client("ec2").describe_instances()
        return [one for group in answer["Reservations"] for one in group["Instances"]]

    def running(self, kind: str) -> list[str]:
        """The instances that run as `head` or `worker`, oldest first."""
        assert self.failed is None, self.failed
        there = [i for i in self.instances() if i["State"]["Name"] in _ON]
        there.sort(key=lambda one: one["LaunchTime"])
        return [i["InstanceId"] for i in there if _tags(i).get("ray-node-type") == kind]

    def take(self, instance: str) -> None:
        """AWS wants a machine back."""
        with self.network.inside():
            self.client("ec2").terminate_instances(InstanceIds=[instance])

    def close(self) -> None:
        """Stop everything; the machines go with the network."""
        self._closed.set()
        self._agent.join()
        self._metadata.close()
        self.api.stop()

    def _follow(self) -> None:
        try:
            with self.network.inside():
                ec2 = self.client("ec2")
                while not self._closed.wait(_LOOK_S):
                    self._look(ec2)
        except BaseException as error:
            self.failed = error
            raise

    def _look(self, ec2: Any) -> None:
        answer = ec2.describe_instances()
        for one in (i for group in answer["Reservations"] for i in group["Instances"]):
            number = one["InstanceId"]
            if one["State"]["Name"] in _ON:
                if number not in self._known:
                    self._start(ec2, one)
                elif self.machines[number].is_off:
                    self._powered_off(ec2, one)
            elif number in self.machines:
                self.machines.pop(number).kill()
                self.transcript.tell(f"{_shown(one)}: {one['State']['Name']}")

    def _start(self, ec2: Any, one: Instance) -> None:
        number, key = one["InstanceId"], one["KeyName"]
        keys = ec2.describe_key_pairs(KeyNames=[key], IncludePublicKey=True)["KeyPairs"]
        private, public = one["PrivateIpAddress"], one["PublicIpAddress"]
        self._known.add(number)
        self._wear(one)
        self.machines[number] = Machine(
            self.network, f"ip-{private.replace('.', '-')}", (private, public),
            key=keys[0]["PublicKey"].strip(), env={"AWS_ENDPOINT_URL": ENDPOINT},
        )  # fmt: skip
        how = one.get("InstanceLifecycle", "on demand")
        group = ", ".join(group["GroupName"] for group in one["SecurityGroups"])
        self.transcript.tell(f"{_shown(one)}: starts ({how}, group {group})")

    def _powered_off(self, ec2: Any, one: Instance) -> None:
        number = one["InstanceId"]
        asked = ec2.describe_instance_attribute(
            InstanceId=number, Attribute="instanceInitiatedShutdownBehavior"
        )["InstanceInitiatedShutdownBehavior"]["Value"]
        self.transcript.tell(f"{_shown(one)}: powered itself off, so it is to {asked}")
        (ec2.terminate_instances if asked == "terminate" else ec2.stop_instances)(
            InstanceIds=[number]
        )

    def _wear(self, one: Instance) -> None:
        """A machine finds the credentials of its profile's role: new ones for each, at once, since
        who asks waits for a second.
        """
        if "IamInstanceProfile" not in one:
            return
        name = one["IamInstanceProfile"]["Arn"].rpartition("/")[2]
        profile = self.client("iam").get_instance_profile(InstanceProfileName=name)
        role = profile["InstanceProfile"]["Roles"][0]
        session = self.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="machine")
        worn = (role["RoleName"], metadata.written(session["Credentials"]))
        for address in (one["PrivateIpAddress"], one["PublicIpAddress"]):
            self._metadata.roles[address] = worn


def _tags(one: Instance) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())}


def _shown(one: Instance) -> str:
    kind = _tags(one).get("ray-node-type", "machine")
    return f"{kind} {one['InstanceId'][:6]} {one['InstanceType']}"
