"""A role with its policy, and the instance profile by which machines wear it."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from ictsweep.clusters.aws.account import Account, code_of
from ictsweep.clusters.aws.policies import TAG, TRUST

_POLICY = "ictsweep"


@dataclass(frozen=True)
class Role:
    """Role, policy and profile of one name."""

    account: Account
    role: str
    policy: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called."""
        return f"role {self.role}"

    def missing(self) -> list[str]:
        """Role, policy as it should be, profile wearing the role."""
        todo = [] if self._role() else ["create it, for EC2 alone"]
        if self._written() != self.policy:
            todo.append("write what it may do")
        profile = self._profile()
        if profile is None or self.role not in [role["RoleName"] for role in profile["Roles"]]:
            todo.append("give it to machines as an instance profile of the same name")
        return todo

    def make(self) -> None:
        """Create what is missing, and write the policy."""
        iam, tags = self.account.iam, [{"Key": k, "Value": v} for k, v in TAG.items()]
        if not self._role():
            iam.create_role(RoleName=self.role, AssumeRolePolicyDocument=TRUST, Tags=tags)
        document = json.dumps(self.policy)
        iam.put_role_policy(RoleName=self.role, PolicyName=_POLICY, PolicyDocument=document)
        profile = self._profile()
        if profile is None:
            iam.create_instance_profile(InstanceProfileName=self.role, Tags=tags)
        if profile is None or not profile["Roles"]:
            iam.add_role_to_instance_profile(InstanceProfileName=self.role, RoleName=self.role)

    def remove(self) -> str:
        """Profile, policy and role."""
        iam, profile = self.account.iam, self._profile()
        if profile is not None:
            for role in profile["Roles"]:
                iam.remove_role_from_instance_profile(
                    InstanceProfileName=self.role, RoleName=role["RoleName"]
                )
            iam.delete_instance_profile(InstanceProfileName=self.role)
        if not self._role():
            return "removed" if profile is not None else "is not there"
        if self._written() is not None:
            iam.delete_role_policy(RoleName=self.role, PolicyName=_POLICY)
        iam.delete_role(RoleName=self.role)
        return "removed"

    def _role(self) -> bool:
        return self._found(lambda iam: iam.get_role(RoleName=self.role)) is not None

    def _written(self) -> dict[str, Any] | None:
        answer = self._found(
            lambda iam: iam.get_role_policy(RoleName=self.role, PolicyName=_POLICY)
        )
        document = None if answer is None else answer["PolicyDocument"]
        return json.loads(unquote(document)) if isinstance(document, str) else document

    def _profile(self) -> dict[str, Any] | None:
        answer = self._found(lambda iam: iam.get_instance_profile(InstanceProfileName=self.role))
        return None if answer is None else answer["InstanceProfile"]

    def _found(self, ask: Any) -> Any:
        try:
            return ask(self.account.iam)
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                return None
            raise


@dataclass(frozen=True)
class SpotRole:
    """AWS's own role for spot machines. An account that never had one lacks it, and the head may
    not make it.
    """

    account: Account
    name: str = "service role for spot"

    def missing(self) -> list[str]:
        """Its existence."""
        return [] if self._exists() else ["let AWS make it"]

    def make(self) -> None:
        """Once per account."""
        self.account.iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")

    def remove(self) -> str:
        """It is the account's."""
        return "stays: it is AWS's own, and free"

    def _exists(self) -> bool:
        path = "/aws-service-role/spot.amazonaws.com/"
        return bool(self.account.iam.list_roles(PathPrefix=path)["Roles"])
