"""The variables that lead an unmodified client here, why each is there, and how to undo it.

AWS_ENDPOINT_URL alone is not enough: every line of the SageMaker SDK builds the address of STS
itself (sagemaker/session.py, `sts_regional_endpoint`), which beats the variable. So clients also
get a proxy for AWS's hosts and the authority that signs for them; nothing is installed anywhere.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

FAKE_KEY = "sagedock"
FAKE_SECRET = "not-a-secret"
_LEADING_ASTRAY = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_STS")
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
    for name in _LEADING_ASTRAY:
        if name in environment:
            found.append(Variable(name, None, "would lead the client to a real account"))
    return found


def portable_script(url: str, region: str, authority: str) -> str:
    """Lines for a shell whose machine cannot read the emulator's home: the files that variables
    name are written by the lines themselves, into a new temporary folder.

    `authority` (PEM) is all that their AWS_CA_BUNDLE holds: botocore calls no other hosts than
    AWS's, and those we answer. Programs that use requests keep the bundle that they have.
    """
    folder = Path("@FOLDER@")
    host = urlsplit(url).hostname or ""
    lines = [
        f"# Leads this shell's AWS clients to sagedock at {shlex.quote(url)}.",
        'SAGEDOCK_CLIENT=$(mktemp -d "${TMPDIR:-/tmp}/sagedock-client.XXXXXX")',
        'mkdir "$SAGEDOCK_CLIENT/tls"',
        _here_document(authority, '"$SAGEDOCK_CLIENT/tls/bundle.pem"'),
        _here_document(SDK_CONFIG, '"$SAGEDOCK_CLIENT/sagemaker-sdk.yaml"'),
        f"unset {' '.join(_LEADING_ASTRAY)}",
    ]
    for variable in client_variables(url, region, folder, {"NO_PROXY": host}):
        if variable.name == "REQUESTS_CA_BUNDLE" or variable.value is None:
            continue
        value = shlex.quote(variable.value).replace(str(folder), '"$SAGEDOCK_CLIENT"')
        if variable.name.lower() == "no_proxy":
            value += f'"${{{variable.name}:+,${variable.name}}}"'
        lines.append(f"export {variable.name}={value}")
    return "\n".join([*lines, ""])


def _here_document(text: str, path: str) -> str:
    return f"cat > {path} <<'END'\n{text.rstrip()}\nEND"


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
