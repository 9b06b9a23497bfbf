"""InvokeEndpoint as data: what a request's headers ask for, and each way in which it can fail.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from sagedock.domain.routes import EndpointRoute, ModelServer
from sagedock.errors import NotEmulated, ServiceError
from sagedock.server.limits import ERROR_MESSAGE, INFERENCE_ID, INVOCATION_HEADER

RawHeaders = list[tuple[bytes, bytes]]

# To the container go these alone; AWS strips every other header (API_runtime_InvokeEndpoint.html).
_FORWARDED: Final = {
    b"content-type": "contentType",
    b"accept": "accept",
    b"x-amzn-sagemaker-custom-attributes": "customAttributes",
    b"x-amzn-sagemaker-inference-id": "inferenceId",
    b"x-amzn-sagemaker-session-id": "sessionId",
}
# And back to the client these, beside what we add.
_RETURNED: Final = frozenset(
    {
        b"content-type",
        b"x-amzn-sagemaker-custom-attributes",
        b"x-amzn-sagemaker-new-session-id",
        b"x-amzn-sagemaker-closed-session-id",
    }
)
_TARGET_VARIANT: Final = b"x-amzn-sagemaker-target-variant"
_TARGET_MODEL: Final = b"x-amzn-sagemaker-target-model"
_BROWSER_HEADERS: Final = (b"origin", b"sec-fetch-site")
_NOT_EMULATED: Final = {
    b"x-amzn-sagemaker-target-container-hostname": "multi-container endpoints",
    b"x-amzn-sagemaker-inference-component": "inference components",
    b"x-amzn-sagemaker-enable-explanations": "explanations (SageMaker Clarify)",
}
_ENDPOINT_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_TIMED_OUT: Final = (
    "Your invocation timed out while waiting for a response from container primary. Review the"
    " latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


@dataclass(slots=True)
class Asked:
    """What one request's headers ask for. `length` is None for a chunked body; `forwarded` are
    header lines ready to be sent; `is_from_browser`: the fence has to look at it."""

    host: str = ""
    length: int | None = 0
    forwarded: bytes = b""
    target_variant: str | None = None
    has_target_model: bool = False
    is_from_browser: bool = False


def read_headers(headers: RawHeaders) -> Asked:
    """Sort the headers (lower-case names); raises a ServiceError for one that AWS refuses."""
    asked = Asked()
    for name, value in headers:
        if name in _FORWARDED:
            if len(value) > INFERENCE_ID.value or not value.isascii():
                _check(name, value)
            asked.forwarded += b"%b: %b\r\n" % (name, value)
        elif name == b"host":
            asked.host = value.decode("latin-1")
        elif name == b"content-length":
            asked.length = int(value)
        elif name == b"transfer-encoding":
            asked.length = None
        elif name == _TARGET_VARIANT:
            asked.target_variant = value.decode("latin-1")
        elif name == _TARGET_MODEL:
            asked.has_target_model = True
        elif name in _BROWSER_HEADERS:
            asked.is_from_browser = True
        elif name in _NOT_EMULATED:
            raise NotEmulated("sagemaker-runtime", f"InvokeEndpoint with {_NOT_EMULATED[name]}")
    return asked


def read_answer_headers(headers: RawHeaders) -> tuple[int | None, bytes]:
    """Of a container's answer: its length (None: told by chunks or by the end), and the header
    lines that go on to the client."""
    length, lines = None, b""
    for name, value in headers:
        if name in _RETURNED:
            lines += b"%b: %b\r\n" % (name, value)
        elif name == b"content-length":
            length = int(value)
    return length, lines


def endpoint_name(url: bytes) -> str:
    """NAME of `/endpoints/NAME/invocations`, or a ValidationError."""
    name = unquote_to_bytes(url.split(b"/", 3)[2]).decode("utf-8", "replace")
    if not _ENDPOINT_NAME.fullmatch(name):
        raise _constraint(
            name,
            "endpointName",
            r"satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        )
    return name


def _check(name: bytes, value: bytes) -> None:
    member, text = _FORWARDED[name], value.decode("latin-1")
    most = INFERENCE_ID.value if member == "inferenceId" else INVOCATION_HEADER.value
    if len(value) > most:
        raise _constraint(text, member, f"have length less than or equal to {most}")
    if not value.isascii():
        raise _constraint(text, member, r"satisfy regular expression pattern: \p{ASCII}*")


# --- the catalogue of errors -------------------------------------------------------------------


def validation_error(message: str, status: int = 400) -> ServiceError:
    """The runtime says ValidationError where the control plane says ValidationException
    (botocore's two models)."""
    return ServiceError(message, code="ValidationError", status=status)


def _constraint(value: str, member: str, rule: str) -> ServiceError:
    return validation_error(
        f"1 validation error detected: Value '{value[:256]}' at '{member}' failed to satisfy"
        f" constraint: Member must {rule}"
    )


def endpoint_not_found(name: str, account: str) -> ServiceError:
    """The service's own words, quoted in public issue threads."""
    return validation_error(f"Endpoint {name} of account {account} not found.")


def endpoint_not_in_service(route: EndpointRoute) -> ServiceError:
    return validation_error(
        f"Endpoint {route.name} has the status {route.status}; it can be invoked once it is"
        " InService. DescribeEndpoint has the reason of a failure."
    )


def no_server_yet(route: EndpointRoute) -> ServiceError:
    """Its model server has ended and is being started again. What AWS says then is not known; this
    is the API's own word for "try again" (ServiceUnavailable), and SDKs do so by themselves."""
    return ServiceError(
        "The service is unavailable. Try your call again. (sagedock: no model server of endpoint"
        f" {route.name} is up at the moment; it is being started.)",
        code="ServiceUnavailable",
        status=503,
    )


def variant_not_found(route: EndpointRoute, variant: str) -> ServiceError:
    names = ", ".join(known.name for known in route.variants)
    return validation_error(
        f"Variant {variant} of endpoint {route.name} not found. It has: {names}."
    )


def no_variant_has_weight(route: EndpointRoute) -> ServiceError:
    return validation_error(
        f"All variants of endpoint {route.name} have the weight 0: raise one with"
        " UpdateEndpointWeightsAndCapacities, or name one as TargetVariant."
    )


def not_multi_model(name: str) -> ServiceError:
    return validation_error(
        f"Endpoint {name} is not a multi-model endpoint and does not support target model header."
    )


def payload_too_large(limit: int) -> ServiceError:
    """AWS answers 413 `HTTP content length exceeded N bytes.` without a code (sagemaker-python-sdk
    issue 171); the code is our addition, that of its other payload refusals (issue 4271)."""
    return validation_error(
        f"HTTP content length exceeded {limit} bytes. Make the payload smaller, use batch"
        " transform, or lift the limit with SAGEDOCK_LIMITS=off (AWS will still refuse it).",
        status=413,
    )


def oversize_body(request_id: str, limit: int) -> ServiceError:
    """What a serverless endpoint says (sagemaker-python-sdk issue 4271)."""
    return validation_error(
        f"Request {request_id} has oversize body. A serverless endpoint takes {limit} bytes: make"
        " the payload smaller, deploy on an instance, or lift the limit with SAGEDOCK_LIMITS=off"
        " (AWS will still refuse it)."
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong between us and a container: `status` as its answer had it, or the one that
    AWS reports where there was none; `message` is its body."""

    status: int
    message: str


def timed_out() -> Failure:
    """AWS reports 0 as the original status (amazon-sagemaker-examples issue 799, and others)."""
    return Failure(0, _TIMED_OUT)


def no_server(name: str) -> Failure:
    return Failure(503, f"No model server of variant {name} takes connections.")


def hung_up() -> Failure:
    return Failure(500, "The model server closed the connection without an answer.")


def answer_too_large(limit: int) -> Failure:
    """What AWS says then is not known; that it does not pass the answer on follows from the
    model's limit on the answer's Body."""
    return Failure(500, f"The container's answer is larger than {limit} bytes.")


def model_error(
    failure: Failure, route: EndpointRoute, server: ModelServer | None, log_address: str
) -> ServiceError:
    """ModelError, 424, in the service's words (quoted in public issue threads)."""
    _, partition, _, region, account, _ = route.arn.split(":", 5)
    arn = f"arn:{partition}:logs:{region}:{account}:log-group:{route.log_group}"
    if server is not None:
        arn += f":log-stream:{server.log_stream}"
    whose = "client" if 300 <= failure.status < 500 else "server"
    said = _shortened(failure.message, ERROR_MESSAGE.value)
    end = f'". See {log_address} in account {account} for more information.'
    begin = f'Received {whose} error ({failure.status}) from primary with message "'
    quoted = _shortened(said, ERROR_MESSAGE.value - len(begin) - len(end))
    return ServiceError(
        begin + quoted + end,
        code="ModelError",
        status=424,
        fields={
            "OriginalStatusCode": failure.status,
            "OriginalMessage": said,
            "LogStreamArn": arn,
        },
    )


def _shortened(text: str, most: int) -> str:
    """At most `most` characters; what goes is the middle, for a traceback's end says most."""
    if len(text) <= most:
        return text
    gap = " […] "
    head = (most - len(gap)) // 3
    return text[:head] + gap + text[len(text) - (most - len(gap) - head) :]
