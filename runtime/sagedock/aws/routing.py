"""Which operation of which service a request means.

Read in this order: the `X-Amz-Target` header (SageMaker, Logs, CloudWatch), a smithy path
(CloudWatch in CBOR), a query-protocol `Action` (STS, IAM, CloudWatch), a path of the SageMaker
runtime, the signing scope, and for all that is left S3. The runtime and the control plane share
the signing name `sagemaker`, so the scope cannot tell those two apart. Signatures are read for
their scope and never verified.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from sagedock.aws import model, rest
from sagedock.aws.compression import plain_body
from sagedock.aws.http import HttpRequest
from sagedock.aws.model import Call, Protocol
from sagedock.errors import NotEmulated, ServiceError

TARGETS: Final = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "cloudwatch",
}
"""X-Amz-Target prefix → service."""

SCOPES: Final = {
    "sagemaker": "sagemaker",
    "s3": "s3",
    "sts": "sts",
    "iam": "iam",
    "logs": "logs",
    "monitoring": "cloudwatch",
}
"""Signing name → service; also the first label of the services' host names."""

VERSIONS: Final = {"2011-06-15": "sts", "2010-05-08": "iam", "2010-08-01": "cloudwatch"}
"""Query protocol's `Version` → service."""

_CREDENTIAL: Final = re.compile(r"Credential=[^/,\s]+/\d{8}/[^/,]+/([^/,]+)/aws4_request")
_PRESIGNED: Final = re.compile(r"[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_SMITHY_PATH: Final = re.compile(r"/service/(\w+)/operation/(\w+)")
_S3_HOST: Final = re.compile(
    r"(?P<bucket>.+)\.s3(?:[.-][a-z0-9-]+)*\.(?:amazonaws\.com(?:\.cn)?|localhost)"
    r"|(?!s3\.)(?P<local>.+)\.(?:localhost|127\.0\.0\.1(?:\.[a-z0-9.-]+)?)"
)
_FORM: Final = "application/x-www-form-urlencoded"


class Unrouted(ServiceError):
    """A request that means no operation we know; `protocol` is the one its client speaks."""

    def __init__(self, said: ServiceError, protocol: Protocol) -> None:
        super().__init__(
            said.message,
            code=said.code,
            status=said.status,
            fields=said.fields,
            headers=said.headers,
        )
        self.protocol = protocol


def route(request: HttpRequest) -> Call:
    """The operation that `request` means.

    Raises Unrouted: 501 where sagedock lacks the service (the text names service and operation),
    400 or 404 in AWS's words where the service has no such operation, 405 for S3.
    """
    if target := request.headers.get("x-amz-target"):
        return _by_target(target, request)
    if found := _SMITHY_PATH.fullmatch(request.path):
        return _by_smithy_path(found.group(1), found.group(2))
    query = rest.query_values(request.query)
    scope = signing_scope(request.headers, query)
    if scope != "s3" and (form := _form(request, query)).get("Action"):
        return _by_action(form, scope, request)
    if scope != "s3" and request.path.startswith("/endpoints/"):
        binding = rest.match(
            "sagemaker-runtime", request.method, request.path, query, request.headers
        )
        if binding:
            return Call("sagemaker-runtime", binding.operation, "rest-json", request.path)
    if scope not in (None, "s3"):
        raise Unrouted(NotEmulated(scope, f"{request.method} {request.path[:200]}"), "rest-json")
    return _s3(request, query)


def signing_scope(headers: Mapping[str, str], query: Mapping[str, list[str]]) -> str | None:
    """The service name in the request's signature, in the header or presigned; None if unsigned
    or signed as S3 was before 2014 (`AWS key:signature`)."""
    if found := _CREDENTIAL.search(headers.get("authorization", "")):
        return found.group(1)
    credential = query.get("X-Amz-Credential", [""])[0]
    found = _PRESIGNED.fullmatch(credential)
    return found.group(1) if found else None


def region(request: HttpRequest) -> str | None:
    """The region that the request was signed for; None when it is not signed."""
    found = re.search(r"/\d{8}/([^/,]+)/[^/,]+/aws4_request", _credential(request))
    return found.group(1) if found else None


def _credential(request: HttpRequest) -> str:
    signed = request.headers.get("authorization", "")
    return signed or rest.query_values(request.query).get("X-Amz-Credential", [""])[0]


def _by_target(target: str, request: HttpRequest) -> Call:
    prefix, _, operation = target.rpartition(".")
    service = TARGETS.get(prefix)
    if service is None:
        scope = signing_scope(request.headers, {})
        raise Unrouted(NotEmulated(scope or prefix or "this service", operation), "json")
    return _known(Call(service, operation, "json"))


def _by_smithy_path(name: str, operation: str) -> Call:
    service = TARGETS.get(name)
    if service is None:
        raise Unrouted(NotEmulated(name, operation), "cbor")
    return _known(Call(service, operation, "cbor"))


def _form(request: HttpRequest, query: dict[str, list[str]]) -> dict[str, list[str]]:
    """What a query-protocol request says; empty for any other request."""
    if request.path != "/":
        return {}
    if request.method == "GET":
        return query
    if request.method != "POST" or not request.headers.get("content-type", "").startswith(_FORM):
        return {}
    try:
        return {**query, **rest.query_values(plain_body(request).decode("ascii"))}
    except (UnicodeDecodeError, ServiceError) as error:
        said = "The request body cannot be read as percent-encoded UTF-8 text."
        raise Unrouted(ServiceError(said, code="MalformedInput", status=400), "query") from error


def _by_action(form: Mapping[str, list[str]], scope: str | None, request: HttpRequest) -> Call:
    action, version = form["Action"][0], form.get("Version", [""])[0]
    host_label = request.host.partition(".")[0]
    service = SCOPES.get(scope or "") or (None if scope else VERSIONS.get(version))
    service = service or (None if scope else SCOPES.get(host_label))
    if service is None or service not in VERSIONS.values():
        raise Unrouted(NotEmulated(scope or host_label, action), "query")
    return _known(Call(service, action, "query"))


def _known(call: Call) -> Call:
    if model.has_operation(call.service, call.operation):
        return call
    # The query protocol has words of its own for this (seen as InvalidAction from STS and IAM).
    if call.protocol == "query":
        version = model.metadata(call.service)["apiVersion"]
        said = f"Could not find operation {call.operation} for version {version}"
        raise Unrouted(ServiceError(said, code="InvalidAction", status=400), "query")
    said = f"{call.service} has no operation {call.operation!r}."
    raise Unrouted(ServiceError(said, code="UnknownOperationException", status=400), call.protocol)


def _s3(request: HttpRequest, query: Mapping[str, list[str]]) -> Call:
    path = path_style(request)
    binding = rest.match("s3", request.method, path, query, request.headers)
    if binding:
        return Call("s3", binding.operation, "rest-xml", path)
    form = request.headers.get("content-type", "").startswith("multipart/form-data")
    if request.method == "POST" and form:
        raise Unrouted(NotEmulated("s3", "PostObject"), "rest-xml")
    said = "The specified method is not allowed against this resource."
    fields = {"Method": request.method, "ResourceType": _resource_type(path, query)}
    raise Unrouted(
        ServiceError(said, code="MethodNotAllowed", status=405, fields=fields), "rest-xml"
    )


def path_style(request: HttpRequest) -> str:
    """The request's path with the bucket of a virtual-host address folded in.

    Known hosts are AWS's own (`bucket.s3.amazonaws.com`, `bucket.s3.eu-west-1.amazonaws.com`,
    `bucket.s3-eu-west-1.amazonaws.com`, dual-stack, accelerated) and names under `localhost` and
    `127.0.0.1` (`bucket.localhost`, `bucket.s3.localhost`, `bucket.127.0.0.1.nip.io`).
    """
    host = re.sub(r":\d+$", "", request.host.lower())
    found = _S3_HOST.fullmatch(host)
    if not found:
        return request.path
    bucket = found.group("bucket") or found.group("local")
    return f"/{quote(bucket, safe='')}{request.path}"


def _resource_type(path: str, query: Mapping[str, list[str]]) -> str:
    chosen = sorted(rest.selectors("s3").intersection(query))
    if chosen:
        return chosen[0].upper()
    _, _, key = path.strip("/").partition("/")
    return "OBJECT" if key else "BUCKET" if path.strip("/") else "SERVICE"
