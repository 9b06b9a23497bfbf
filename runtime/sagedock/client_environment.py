"""The variables that lead an unmodified client here, why each is there, and how to undo it.

AWS_ENDPOINT_URL alone is not enough: every line of the SageMaker SDK builds the address of STS
itself (sagemaker/session.py, `sts_regional_endpoint`), which beats the variable. So clients also
get a proxy for AWS's hosts and the authority that signs for them; nothing is installed anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FAKE_KEY = "sagedock"
FAKE_SECRET = "not-a-secret"
SDK_CONFIG = """\
# Written by sagedock, named by SAGEMAKER_USER_CONFIG_OVERRIDE. The SageMaker SDK's telemetry needs
# the internet; this is its own switch for it.
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


@dataclass(frozen=True, slots=True)
class Variable:
    """`value` None: the variable is taken away."""

    name: str
    value: str | None
    why: str


def client_variables(
    url: str, region: str, home: Path, environment: Mapping[str, str] | None = None
) -> list[Variable]:
    """All variables, given the user's present `environment`, in the order in which to explain."""
    environment = os.environ if environment is None else environment
    bundle = str(home / "tls" / "bundle.pem")
    bypass = _no_proxy(environment)
    found = [
        Variable("AWS_ENDPOINT_URL", url, "boto3, the AWS CLI and the SDKs send their calls here"),
        Variable("AWS_ACCESS_KEY_ID", FAKE_KEY, "clients want credentials; these are plainly fake"),
        Variable("AWS_SECRET_ACCESS_KEY", FAKE_SECRET, "the same"),
        Variable("AWS_DEFAULT_REGION", region, "the region of every ARN and bucket name"),
        Variable("AWS_REGION", region, "the same, for programs that read this name"),
        Variable(
            "AWS_EC2_METADATA_DISABLED", "true", "nobody waits for an instance's metadata service"
        ),
        Variable(
            "HTTPS_PROXY",
            url,
            "the SDKs call https://sts.REGION.amazonaws.com whatever AWS_ENDPOINT_URL says; the "
            "proxy answers for AWS's hosts and tunnels every other host untouched",
        ),
        Variable("https_proxy", url, "the same, for programs that read the small letters"),
        Variable("NO_PROXY", bypass, "your own machine is never reached through the proxy"),
        Variable("no_proxy", bypass, "the same"),
        Variable(
            "AWS_CA_BUNDLE",
            bundle,
            "trust in the local authority that signs for AWS's hosts, beside all the usual ones; "
            "for these programs only, nothing is installed in the system",
        ),
        Variable("REQUESTS_CA_BUNDLE", bundle, "the same, for programs that use requests"),
    ]
    if "SAGEMAKER_USER_CONFIG_OVERRIDE" not in environment:
        found.append(
            Variable(
                "SAGEMAKER_USER_CONFIG_OVERRIDE",
                str(home / "sagemaker-sdk.yaml"),
                "switches the SageMaker SDK's telemetry off, by its own configuration",
            )
        )
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_STS"):
        if name in environment:
            found.append(Variable(name, None, "would lead the client to a real account"))
    return found


def applied(variables: list[Variable], environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of `environment` with the variables set and taken away."""
    changed = dict(environment)
    for variable in variables:
        if variable.value is None:
            changed.pop(variable.name, None)
        else:
            changed[variable.name] = variable.value
    return changed


def write_sdk_config(home: Path) -> None:
    """The file that SAGEMAKER_USER_CONFIG_OVERRIDE names."""
    path = home / "sagemaker-sdk.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") != SDK_CONFIG:
        path.write_text(SDK_CONFIG, encoding="utf-8")


def _no_proxy(environment: Mapping[str, str]) -> str:
    """The user's own exceptions without those that would lead past us to AWS, and loopback."""
    own = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    kept = [
        host.strip()
        for host in own.split(",")
        if host.strip() and host.strip() != "*" and "amazonaws" not in host
    ]
    local = ["127.0.0.1", "localhost", "::1"]
    return ",".join([*local, *(host for host in kept if host not in local)])
