"""What the server's tests run against: the real server on a free port, toy operations behind it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config

from sagedock.aws.http import HttpRequest
from sagedock.aws.model import Call
from sagedock.domain.routes import EndpointRoute, ModelServer, Routes, VariantRoute
from sagedock.errors import ResourceNotFound
from sagedock.lifecycle.changes import Changes
from sagedock.server.app import Parts, Receive, Send, create_app
from sagedock.server.certificates import Authority
from sagedock.server.connect_proxy import ConnectProxy
from sagedock.server.fast_lane import FastLane
from sagedock.server.gateway import Gateway, Identity
from sagedock.server.health import Info, health_router
from sagedock.server.limits import InvocationLimits
from sagedock.server.origins import Fence
from sagedock.server.protocol import Lanes
from sagedock.server.running import Server
from sagedock.services.operation import Answer, Context, Held, dispatch_table, operation

ACCOUNT, REGION = "123456789012", "us-east-1"
KEYS = {
    "aws_access_key_id": "k",
    "aws_secret_access_key": "s",
    "region_name": REGION,
}
JOB = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/job"


class ToyIdentity:
    service = "sts"

    @operation("GetCallerIdentity")
    def get_caller_identity(self, request: Mapping[str, Any], context: Context) -> Answer:
        return {"Account": context.account, "UserId": "u", "Arn": f"arn:{context.region}"}


class ToyJobs:
    """One job, `job`, whose status the test sets."""

    service = "sagemaker"

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.status = "InProgress"
        self.version = 0
        self.asked = threading.Semaphore(0)
        self.seen: list[Mapping[str, Any]] = []

    def move(self, status: str) -> None:
        self.status, self.version = status, self.version + 1
        self.changes.notify(JOB)

    @operation("DescribeTrainingJob")
    def describe(self, request: Mapping[str, Any], context: Context) -> Answer | Held:
        self.asked.release()
        if request["TrainingJobName"] != "job":
            raise ResourceNotFound("Requested resource not found.", code="ValidationException")
        status, version = self.status, self.version
        answer = {
            "TrainingJobName": "job",
            "TrainingJobArn": JOB,
            "TrainingJobStatus": status,
            "SecondaryStatus": "Starting",
            "CreationTime": datetime(2026, 1, 2, tzinfo=timezone.utc),
        }
        return Held(answer, JOB, version) if status == "InProgress" else answer

    @operation("DeleteModel")
    def delete_model(self, request: Mapping[str, Any], context: Context) -> Answer:
        raise RuntimeError("nobody meant this")

    @operation("CreateModel")
    def create_model(self, request: Mapping[str, Any], context: Context) -> Answer:
        self.seen.append(request)
        return {"ModelArn": "a" * 30}


async def toy_objects(
    call: Call, request: HttpRequest, context: Context, receive: Receive, send: Send
) -> None:
    """Says what it was asked, in a header; errors for buckets named so."""
    if call.path.startswith("/missing"):
        raise ResourceNotFound("The specified bucket does not exist", code="NoSuchBucket")
    if call.path.startswith("/broken"):
        raise RuntimeError("nobody meant this")
    size, more = 0, request.method in ("PUT", "POST")
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    headers = [(b"etag", b'"%d"' % size), (b"content-length", b"0")]
    headers.append((b"x-amz-meta-asked", f"{call.operation} {call.path}".encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


class World:
    """The server, its parts, and clients of it."""

    def __init__(
        self,
        home: Path,
        limits: InvocationLimits | None = None,
        hold_seconds: float = 5.0,
        environment: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.home = home
        self.changes = Changes()
        self.jobs = ToyJobs(self.changes)
        self.routes = Routes()
        self.authority = Authority(home / "tls")
        fence = Fence(host)
        identity = Identity(ACCOUNT, "eu-west-3")
        table = dispatch_table(ToyIdentity(), self.jobs)
        self.gateway = Gateway(table, identity, self.changes, hold_seconds)
        info = Info("1.0", str(home), REGION, ACCOUNT, "toy")
        self.is_ready = True
        router = health_router(info, lambda: self.is_ready)
        app = create_app(Parts(self.gateway, toy_objects, fence, (router,)))
        self.lane = FastLane(
            self.routes,
            ACCOUNT,
            limits or InvocationLimits(),
            fence,
            lambda group, stream: f"http://logs{group}",
        )
        self.proxy = ConnectProxy(self.authority, environment or {})
        lanes = Lanes(self.lane, self.proxy, fence)
        self.server = Server(app, host, port, lanes, before_stop=(self.gateway.release,))

    def __enter__(self) -> World:
        self.server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.stop()
        self.gateway.close()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    def client(self, service: str, **config: Any) -> Any:
        config.setdefault("retries", {"total_max_attempts": 1})
        return boto3.client(service, endpoint_url=self.server.url, config=Config(**config), **KEYS)

    def publish(self, *servers: ModelServer, name: str = "toy", status: str = "InService") -> None:
        """An endpoint of one variant, `AllTraffic`, behind which are `servers`."""
        variants = (VariantRoute("AllTraffic", 1.0, servers),) if servers else ()
        self.routes.publish(self.route(name, status, variants))

    def route(self, name: str, status: str, variants: tuple[VariantRoute, ...]) -> EndpointRoute:
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{name}"
        return EndpointRoute(name, arn, status, f"/aws/sagemaker/Endpoints/{name}", variants)

    def proxied_environment(self) -> dict[str, str]:
        """What `sagedock run` gives a program, without AWS_ENDPOINT_URL."""
        kept = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")}
        return kept | {
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HTTPS_PROXY": self.server.url,
            "AWS_CA_BUNDLE": str(self.authority.bundle({})),
        }
