"""The service's limits on requests, and our own, in one table: each with its value and its source.

AWS has raised them over the years (5 MB, 6 MB, 25 MB in pages of 2018, 2023 and 2025), so they are
data. `mode` decides what happens beyond a limit of the service: `strict` refuses as the service
does, `warn` lets pass and logs, `off` lets pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["strict", "warn", "off"]


@dataclass(frozen=True, slots=True)
class Limit:
    value: int
    unit: str
    source: str


INVOCATION_REQUEST: Final = Limit(
    6_291_456, "bytes", "botocore sagemaker-runtime BodyBlob, max of the request's Body"
)
INVOCATION_RESPONSE: Final = Limit(
    6_291_456, "bytes", "botocore sagemaker-runtime BodyBlob, max of the answer's Body"
)
SERVERLESS_PAYLOAD: Final = Limit(
    4_194_304, "bytes", "serverless-endpoints-invoke.html: requests and answers of 4 MB at most"
)
INVOCATION_TIME: Final = Limit(
    60, "seconds", "API_runtime_InvokeEndpoint.html: a model must answer within 60 seconds"
)
INVOCATION_HEADER: Final = Limit(
    1024, "characters", "botocore sagemaker-runtime Header and CustomAttributesHeader"
)
INFERENCE_ID: Final = Limit(64, "characters", "botocore sagemaker-runtime InferenceId")
ERROR_MESSAGE: Final = Limit(2048, "characters", "botocore sagemaker-runtime Message")
CONTROL_PLANE_BODY: Final = Limit(
    16 * 1024 * 1024, "bytes", "ours: no control-plane request of an SDK comes near it"
)


@dataclass(frozen=True, slots=True)
class InvocationLimits:
    """What one invocation may take. `seconds` is Settings.model_server_seconds."""

    mode: Mode = "strict"
    seconds: float = INVOCATION_TIME.value
    request_bytes: int = INVOCATION_REQUEST.value
    response_bytes: int = INVOCATION_RESPONSE.value
    serverless_bytes: int = SERVERLESS_PAYLOAD.value
