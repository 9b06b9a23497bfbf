"""REST with XML bodies: S3."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from sagedock.aws import model
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call, Operation, Shape
from sagedock.aws.protocols import locations, xml
from sagedock.aws.protocols.base import Mismatch
from sagedock.errors import ServiceError

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

ROOTS: Final = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
    "UploadPartCopy": "CopyPartResult",
}
"""Root elements of S3's answers, after the response syntax in the S3 API reference. They are the
one thing that botocore's model leaves out (its parser does not look); clients in other languages
do look. Without an entry, the root is the payload's member."""


def parse(call: Call, request: HttpRequest) -> dict[str, Any]:
    """The request's members. Raises InvalidArgument for the query and headers, MalformedXML for
    the body (both 400)."""
    operation = model.operation(call.service, call.operation)
    try:
        found = locations.parse(call, request)
    except Mismatch as mismatch:
        raise _invalid_argument(mismatch) from mismatch
    _unchunk(found, request)
    if operation.input is None:
        return found
    if operation.input.payload:
        if request.body or not operation.streams_input:
            found.update(_payload(operation.input, request.body))
    elif request.body and any(not each.location for each in operation.input.members.values()):
        root = operation.input.wire_name or f"{call.operation}Request"
        body = _read_xml(operation.input, root, request.body)
        found.update({k: v for k, v in body.items() if not operation.input.members[k].location})
    return found


def _unchunk(found: dict[str, Any], request: HttpRequest) -> None:
    """`aws-chunked` says how a body travels and is no part of the object's own encoding, and the
    Content-Length of such a request counts the frames too."""
    if "x-amz-decoded-content-length" in request.headers and "ContentLength" in found:
        length = request.headers["x-amz-decoded-content-length"]
        if not (length.isascii() and length.isdigit()):
            raise _invalid_argument(Mismatch(length).at("x-amz-decoded-content-length"))
        found["ContentLength"] = int(length)
    if "ContentEncoding" in found:
        codings = [coding.strip() for coding in found.pop("ContentEncoding").split(",")]
        if kept := ",".join(coding for coding in codings if coding != "aws-chunked"):
            found["ContentEncoding"] = kept


def _payload(shape: Shape, body: bytes) -> dict[str, Any]:
    payload, name = shape.payload_shape, shape.payload
    if payload is None or name is None:
        return {}
    if payload.kind == "blob":
        return {name: body}
    if payload.kind == "string":
        try:
            return {name: body.decode("utf-8")} if body else {}
        except UnicodeDecodeError as error:
            raise _malformed("the body is not UTF-8") from error
    return {name: _read_xml(payload, payload.wire_name or name, body)} if body else {}


def _read_xml(shape: Shape, root: str, body: bytes) -> dict[str, Any]:
    try:
        node = xml.document(body)
        if node.tag != root:
            raise Mismatch(f"The root element is {node.tag[:64]!r} and should be {root}")
        found: dict[str, Any] = xml.read(shape, node)
    except xml.NotXml as error:
        raise _malformed(str(error)) from error
    except Mismatch as mismatch:
        raise _malformed(mismatch.error().message) from mismatch
    return found


def _malformed(detail: str) -> ServiceError:
    said = (
        "The XML you provided was not well-formed or did not validate against our published "
        f"schema: {detail}"
    )
    return ServiceError(said, code="MalformedXML", status=400)


def _invalid_argument(mismatch: Mismatch) -> ServiceError:
    name = mismatch.path[-1] if mismatch.path else ""
    return ServiceError(
        f"Provided {name} is not valid: {mismatch.said}",
        code="InvalidArgument",
        status=400,
        fields={"ArgumentName": name},
    )


def serialize(call: Call, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
    operation = model.operation(call.service, call.operation)
    shape = operation.output
    headers = _headers(request_id)
    if shape is None:
        return HttpResponse(operation.status, headers)
    headers |= locations.response_headers(shape, answer)
    # A part of an object: S3's model has no word for 206 but the Content-Range header.
    status = 206 if "Content-Range" in headers else operation.status
    if operation.streams_output:
        # The body is another's to send, and with it its length.
        headers.pop("Content-Length", None)
        return HttpResponse(status, headers)
    body = _body(call, operation, shape, answer)
    if body:
        headers.setdefault("Content-Type", "application/xml")
    return HttpResponse(status, headers, body)


def _body(call: Call, operation: Operation, shape: Shape, answer: Mapping[str, Any]) -> bytes:
    payload = shape.payload_shape
    if payload and payload.kind in ("string", "blob"):
        value = answer.get(shape.payload or "") or b""
        return value.encode() if isinstance(value, str) else bytes(value)
    if payload:
        value = answer.get(shape.payload or "")
        root = payload.wire_name or shape.payload or call.operation
        return _document(ROOTS.get(call.operation, root), payload, value or {})
    if call.operation == "GetBucketLocation":
        # The member is the root itself, empty for us-east-1; botocore reads it by hand as well.
        where = xml.escaped(answer.get("LocationConstraint") or "")
        text = f'<LocationConstraint xmlns="{NAMESPACE}">{where}</LocationConstraint>'
        return (_DECLARATION + text).encode()
    if all(member.location for member in shape.members.values()):
        return b""
    return _document(ROOTS.get(call.operation, shape.name), shape, answer)


def _document(root: str, shape: Shape, value: Mapping[str, Any]) -> bytes:
    out = [_DECLARATION, f'<{root} xmlns="{NAMESPACE}">']
    xml.write_members(out, shape, value)
    out.append(f"</{root}>")
    return "".join(out).encode()


def serialize_error(call: Call | None, error: ServiceError, request_id: str) -> HttpResponse:
    headers = _headers(request_id) | error.headers
    if error.status == 304:
        return HttpResponse(304, headers)
    headers["Content-Type"] = "application/xml"
    out = [_DECLARATION, f"<Error><Code>{xml.escaped(error.code)}</Code>"]
    out.append(f"<Message>{xml.escaped(error.message)}</Message>")
    for name, value in error.fields.items():
        out.append(f"<{name}>{xml.escaped(str(value))}</{name}>")
    out.append(
        f"<RequestId>{request_id}</RequestId><HostId>{_host_id(request_id)}</HostId></Error>"
    )
    return HttpResponse(error.status, headers, "".join(out).encode())


def _headers(request_id: str) -> dict[str, str]:
    return {"x-amz-request-id": request_id, "x-amz-id-2": _host_id(request_id)}


def _host_id(request_id: str) -> str:
    """S3's second, longer id; clients print it and nothing more."""
    return base64.b64encode(request_id.encode()).decode("ascii")
