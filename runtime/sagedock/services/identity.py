"""STS and IAM: the little that clients ask before anything else.

Nobody is checked here: signatures are read for the region and the clock only, and every policy
allows everything. Who asks is always one assumed role, because SageMaker's `get_execution_role()`
refuses a user (control-plane reference, finding B).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import quote

from sagedock.domain.arns import Arn, partition_of
from sagedock.domain.resource import Resource
from sagedock.errors import ServiceError
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.store.resources import AlreadyExists, NotFound, Resources

ROLE_NAME = "AmazonSageMaker-ExecutionRole-sagedock"
SESSION_NAME = "SageMaker"

_FOREVER = datetime(2020, 1, 1, tzinfo=timezone.utc)
_EXISTING = "AmazonSageMaker-ExecutionRole"
_FULL_ACCESS = "AmazonSageMakerFullAccess"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


class StsOperations:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html"""

    service = "sts"

    @operation("GetCallerIdentity")
    def get_caller_identity(self, request: Request, context: Context) -> Answer:
        """The assumed execution role."""
        return {
            "UserId": f"{_role_id(ROLE_NAME)}:{SESSION_NAME}",
            "Account": context.account,
            "Arn": _session_arn(context, ROLE_NAME, SESSION_NAME),
        }

    @operation("AssumeRole")
    def assume_role(self, request: Request, context: Context) -> Answer:
        """Credentials that work here, as all do, and are plainly none of AWS's."""
        said = Arn.read(request["RoleArn"])
        if said is None or said.service != "iam" or not said.resource.startswith("role/"):
            raise ServiceError(
                f"{request['RoleArn']} is invalid: it is not the ARN of a role.",
                code="ValidationError",
                status=400,
            )
        name, session = said.resource.rsplit("/", 1)[-1], request["RoleSessionName"]
        arn = f"arn:{said.partition}:sts::{said.account}:assumed-role/{name}/{session}"
        return {
            "Credentials": _credentials(context, int(request.get("DurationSeconds", 3_600))),
            "AssumedRoleUser": {"AssumedRoleId": f"{_role_id(name)}:{session}", "Arn": arn},
        }

    @operation("GetSessionToken")
    def get_session_token(self, request: Request, context: Context) -> Answer:
        """As AssumeRole; valid for 12 hours (API_GetSessionToken.html)."""
        return {"Credentials": _credentials(context, int(request.get("DurationSeconds", 43_200)))}

    @operation("GetAccessKeyInfo")
    def get_access_key_info(self, request: Request, context: Context) -> Answer:
        """Every key belongs to the one account."""
        return {"Account": context.account}


@dataclass(frozen=True, kw_only=True, slots=True)
class Role(Resource):
    """A role made by CreateRole; `policies` are the ARNs attached to it."""

    kind: ClassVar[str] = "role"
    noun: ClassVar[str] = "role"

    policies: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        return {"policies": list(self.policies)}

    @classmethod
    def restore(cls, common: Mapping[str, Any], state: Mapping[str, Any]) -> Role:
        return cls(**common, policies=tuple(state["policies"]))


class IamOperations:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html

    Besides the roles that clients create there are all whose name begins with
    AmazonSageMaker-ExecutionRole, as the console names them: SDK v3 looks up the role that a
    script names before it trains.
    """

    service = "iam"

    def __init__(self, roles: Resources[Role]) -> None:
        self._roles = roles

    @operation("GetRole")
    def get_role(self, request: Request, context: Context) -> Answer:
        return {"Role": _described(self._role(request["RoleName"], context))}

    @operation("ListRoles")
    def list_roles(self, request: Request, context: Context) -> Answer:
        """The execution role and those that were created, in one page."""
        prefix = request.get("PathPrefix", "/")
        roles = [_given_role(ROLE_NAME, context), *self._roles.find()]
        shown = [_described(role) for role in sorted(roles, key=lambda role: role.name)]
        return {"Roles": [r for r in shown if r["Path"].startswith(prefix)], "IsTruncated": False}

    @operation("CreateRole")
    def create_role(self, request: Request, context: Context) -> Answer:
        """Record it. SDK v2's `RoleConfig` defaults create one (sagemaker 2.x session.py)."""
        name, now = request["RoleName"], context.now()
        path = request.get("Path", "/")
        try:
            document = json.loads(request["AssumeRolePolicyDocument"])
        except ValueError:
            raise ServiceError(
                f"The trust policy of role {name} is not valid JSON.",
                code="MalformedPolicyDocument",
                status=400,
            ) from None
        sent = {**request, "Path": path, "AssumeRolePolicyDocument": document}
        arn = f"arn:{partition_of(context.region)}:iam::{context.account}:role{path}{name}"
        role = Role(name=name, arn=arn, created=now, modified=now, request=sent)
        try:
            if name.startswith(_EXISTING):
                raise AlreadyExists(arn)
            return {"Role": _described(self._roles.add(role))}
        except AlreadyExists:
            raise ServiceError(
                f"Role with name {name} already exists.", code="EntityAlreadyExists", status=409
            ) from None

    @operation("DeleteRole")
    def delete_role(self, request: Request, context: Context) -> Answer:
        try:
            self._roles.delete(request["RoleName"])
        except NotFound:
            raise _no_such_role(request["RoleName"]) from None
        return {}

    @operation("AttachRolePolicy")
    def attach_role_policy(self, request: Request, context: Context) -> Answer:
        """Recorded; it changes nothing, as everything is allowed."""
        role, arn = self._role(request["RoleName"], context), request["PolicyArn"]
        if role.version and arn not in role.policies:
            self._roles.save(replace(role, policies=(*role.policies, arn)))
        return {}

    @operation("ListAttachedRolePolicies")
    def list_attached_role_policies(self, request: Request, context: Context) -> Answer:
        role = self._role(request["RoleName"], context)
        attached = [
            {"PolicyName": arn.rsplit("/", 1)[-1], "PolicyArn": arn} for arn in role.policies
        ]
        return {"AttachedPolicies": attached, "IsTruncated": False}

    @operation("SimulatePrincipalPolicy")
    def simulate_principal_policy(self, request: Request, context: Context) -> Answer:
        """Every action on every resource is allowed: SDK v3 stops unless it is."""
        resources = request.get("ResourceArns") or ["*"]
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed",
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in request["ActionNames"]
            for resource in resources
        ]
        return {"EvaluationResults": results, "IsTruncated": False}

    def _role(self, name: str, context: Context) -> Role:
        try:
            return self._roles.get(name)
        except NotFound:
            if name.startswith(_EXISTING):
                return _given_role(name, context)
            raise _no_such_role(name) from None


def _given_role(name: str, context: Context) -> Role:
    """A role that is there without having been created; `version` 0, as it is not stored."""
    partition = partition_of(context.region)
    return Role(
        name=name,
        arn=f"arn:{partition}:iam::{context.account}:role/service-role/{name}",
        created=_FOREVER,
        modified=_FOREVER,
        request={"Path": "/service-role/", "AssumeRolePolicyDocument": _TRUST},
        policies=(f"arn:{partition}:iam::aws:policy/{_FULL_ACCESS}",),
    )


def _described(role: Role) -> dict[str, Any]:
    """IAM answers a policy document as percent-encoded JSON (API_Role.html)."""
    optional = {m: role.request[m] for m in ("Description", "Tags") if m in role.request}
    return {
        "Path": role.request["Path"],
        "RoleName": role.name,
        "RoleId": _role_id(role.name),
        "Arn": role.arn,
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": quote(json.dumps(role.request["AssumeRolePolicyDocument"])),
        "MaxSessionDuration": int(role.request.get("MaxSessionDuration", 3_600)),
        **optional,
    }


def _no_such_role(name: str) -> ServiceError:
    return ServiceError(
        f"The role with name {name} cannot be found.", code="NoSuchEntity", status=404
    )


def _session_arn(context: Context, role: str, session: str) -> str:
    partition = partition_of(context.region)
    return f"arn:{partition}:sts::{context.account}:assumed-role/{role}/{session}"


def _role_id(name: str) -> str:
    """Always the same for the same name; begins as AWS's do (reference_identifiers.html)."""
    return "AROA" + hashlib.sha256(name.encode()).hexdigest()[:17].upper()


def _credentials(context: Context, seconds: int) -> dict[str, Any]:
    return {
        "AccessKeyId": "SAGEDOCKNOTAREALKEY1",
        "SecretAccessKey": "sagedock/not/a/real/secret",
        "SessionToken": "sagedock-not-a-real-session-token",
        "Expiration": context.now() + timedelta(seconds=seconds),
    }
