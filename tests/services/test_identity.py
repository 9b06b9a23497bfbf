"""STS and IAM: the one role that everybody is, and the few that scripts make."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from services.desk import ACCOUNT, NOON, Desk

ROLE = "AmazonSageMaker-ExecutionRole-sagedock"


@pytest.mark.evidence("recorded", "control-plane reference, finding B")
def test_the_caller_is_an_assumed_execution_role(desk: Desk) -> None:
    me = desk.answer("sts", "GetCallerIdentity")
    assert me["Account"] == ACCOUNT
    assert me["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/SageMaker"
    assert me["UserId"].endswith(":SageMaker")


def test_assuming_a_role_gives_credentials_that_are_plainly_none(desk: Desk) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/service-role/Mine"
    ask = {"RoleArn": role, "RoleSessionName": "me", "DurationSeconds": 900}
    answer = desk.answer("sts", "AssumeRole", **ask)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/Mine/me"
    credentials = answer["Credentials"]
    assert "NOTAREAL" in credentials["AccessKeyId"]
    assert credentials["Expiration"] == NOON + timedelta(seconds=901)


def test_only_a_role_can_be_assumed(desk: Desk) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/me"
    refused = desk.refusal("sts", "AssumeRole", RoleArn=user, RoleSessionName="me")
    assert (refused.code, refused.status) == ("ValidationError", 400)


def test_a_session_token_and_the_account_of_a_key(desk: Desk) -> None:
    token = desk.answer("sts", "GetSessionToken")["Credentials"]
    assert token["Expiration"] == NOON + timedelta(hours=12, seconds=1)
    key = token["AccessKeyId"]
    assert desk.answer("sts", "GetAccessKeyInfo", AccessKeyId=key) == {"Account": ACCOUNT}


@pytest.mark.evidence("recorded", "control-plane reference, finding B: SDK v3 reads the policy")
def test_the_execution_role_trusts_sagemaker(desk: Desk) -> None:
    role = desk.answer("iam", "GetRole", RoleName=ROLE)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/service-role/{ROLE}"
    assert role["Path"] == "/service-role/"
    policy = json.loads(unquote(role["AssumeRolePolicyDocument"]))
    assert policy["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_the_consoles_execution_roles_are_there_and_others_are_not(desk: Desk) -> None:
    name = "AmazonSageMaker-ExecutionRole-20180101T000000"
    assert desk.answer("iam", "GetRole", RoleName=name)["Role"]["RoleName"] == name
    refused = desk.refusal("iam", "GetRole", RoleName="no-such-role-here")
    assert (refused.code, refused.status) == ("NoSuchEntity", 404)


def test_everything_is_allowed_on_everything(desk: Desk) -> None:
    ask: dict[str, Any] = {
        "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:role/x",
        "ActionNames": ["s3:GetObject", "ecr:GetAuthorizationToken"],
    }
    results = desk.answer("iam", "SimulatePrincipalPolicy", **ask)["EvaluationResults"]
    assert [r["EvalDecision"] for r in results] == ["allowed", "allowed"]
    ask["ResourceArns"] = ["arn:aws:s3:::a", "arn:aws:s3:::b"]
    assert len(desk.answer("iam", "SimulatePrincipalPolicy", **ask)["EvaluationResults"]) == 4


def test_a_script_can_create_a_role_and_attach_policies(desk: Desk) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = desk.answer("iam", "CreateRole", RoleName="Mine", AssumeRolePolicyDocument=document)
    assert made["Role"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/Mine"
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    desk.answer("iam", "AttachRolePolicy", RoleName="Mine", PolicyArn=policy)
    attached = desk.answer("iam", "ListAttachedRolePolicies", RoleName="Mine")
    assert attached["AttachedPolicies"] == [
        {"PolicyName": "AmazonSageMakerFullAccess", "PolicyArn": policy}
    ]
    names = [role["RoleName"] for role in desk.answer("iam", "ListRoles")["Roles"]]
    assert names == [ROLE, "Mine"]
    desk.answer("iam", "DeleteRole", RoleName="Mine")
    assert desk.refusal("iam", "GetRole", RoleName="Mine").code == "NoSuchEntity"


@pytest.mark.parametrize(
    ("name", "document", "code"),
    [("Mine", "{", "MalformedPolicyDocument"), (ROLE, "{}", "EntityAlreadyExists")],
)
def test_a_role_that_cannot_be_created(desk: Desk, name: str, document: str, code: str) -> None:
    ask = {"RoleName": name, "AssumeRolePolicyDocument": document}
    assert desk.refusal("iam", "CreateRole", **ask).code == code
