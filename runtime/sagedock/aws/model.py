"""The one door to botocore: which operations there are and what their shapes look like.

botocore ships AWS's own service models as data. We read those files through botocore's loader
and hold them as small typed records of our own, so that nothing outside this module depends on
botocore, and nothing that AWS states is stated a second time. A model is read when it is first
needed: the largest, SageMaker's, takes about 60 ms.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from botocore import model as botocore_model

Protocol = Literal["json", "rest-json", "rest-xml", "query", "cbor"]

SERVICES: Final = ("sagemaker", "sagemaker-runtime", "s3", "sts", "iam", "logs", "cloudwatch")
"""The routed services, by botocore's names."""

_KINDS: Final = {"long": "integer", "double": "float", "character": "string"}


@dataclass(frozen=True)
class Call:
    """What a request means: an operation of a service, and the protocol its client speaks.

    `path` is the percent-encoded request path, into which the bucket of a virtual-host S3
    address was folded: always path style.
    """

    service: str
    operation: str
    protocol: Protocol
    path: str = "/"


class Shape:
    """A botocore shape at one place of a request or answer.

    `kind` is structure, list, map, string, integer, float, boolean, blob or timestamp; `minimum`
    and `maximum` bound a number's value, or the length of anything else. What lies under it is
    read when it is asked for, so recursive shapes are no trouble.
    """

    def __init__(self, source: botocore_model.Shape) -> None:
        wire: Mapping[str, Any] = source.serialization
        rules: Mapping[str, Any] = source.metadata
        self._source: Any = source
        self.name: str = source.name
        self.kind: str = _KINDS.get(source.type_name, source.type_name)
        self.wire_name: str | None = wire.get("name")
        self.location: str | None = wire.get("location")
        self.payload: str | None = wire.get("payload")
        self.result_wrapper: str | None = wire.get("resultWrapper")
        self.namespace: Mapping[str, str] | None = wire.get("xmlNamespace")
        self.timestamp_format: str | None = wire.get("timestampFormat")
        self.is_attribute: bool = wire.get("xmlAttribute", False)
        self.is_flattened: bool = wire.get("flattened", False)
        self.is_event_stream: bool = wire.get("eventstream", False)
        self.is_document: bool = rules.get("document", False)
        self.is_sensitive: bool = rules.get("sensitive", False)
        self.required: tuple[str, ...] = tuple(rules.get("required", ()))
        self.enum: tuple[str, ...] = tuple(rules.get("enum", ()))
        self.pattern: str | None = rules.get("pattern")
        self.minimum: float | None = rules.get("min")
        self.maximum: float | None = rules.get("max")
        self.error_code: str | None = rules.get("error", {}).get("code")

    @cached_property
    def members(self) -> dict[str, Shape]:
        """A structure's members, in the model's order."""
        return {name: Shape(member) for name, member in self._source.members.items()}

    @cached_property
    def member(self) -> Shape:
        """What a list holds."""
        return Shape(self._source.member)

    @cached_property
    def key(self) -> Shape:
        """A map's keys."""
        return Shape(self._source.key)

    @cached_property
    def value(self) -> Shape:
        """A map's values."""
        return Shape(self._source.value)

    @property
    def payload_shape(self) -> Shape | None:
        """The member that alone makes the body, where there is one."""
        return self.members[self.payload] if self.payload else None


class Operation:
    """An operation as AWS's model states it; `uri` is its template, with literal query keys."""

    def __init__(self, source: botocore_model.OperationModel) -> None:
        self.name: str = source.name
        self.method: str = source.http.get("method", "POST")
        self.uri: str = source.http.get("requestUri", "/")
        self.status: int = source.http.get("responseCode", 200)
        self.is_deprecated: bool = bool(source.deprecated)
        self.input: Shape | None = Shape(source.input_shape) if source.input_shape else None
        self.output: Shape | None = Shape(source.output_shape) if source.output_shape else None
        self.streams_input: bool = source.has_streaming_input
        self.streams_output: bool = source.has_streaming_output or source.has_event_stream_output


def operation_names(service: str) -> tuple[str, ...]:
    """Every operation that AWS's model of `service` has."""
    return tuple(_service_model(service).operation_names)


@cache
def operation(service: str, name: str) -> Operation:
    """The operation `name`; KeyError when the model of `service` has none."""
    if name not in _operation_name_set(service):
        raise KeyError(f"{service} has no operation {name}")
    return Operation(_service_model(service).operation_model(name))


def has_operation(service: str, name: str) -> bool:
    """Whether AWS's model of `service` has the operation `name`."""
    return name in _operation_name_set(service)


def output_shape(call: Call) -> Shape | None:
    """The shape of the answer; None where the operation answers nothing."""
    return operation(call.service, call.operation).output


def metadata(service: str) -> Mapping[str, Any]:
    """The model's metadata: apiVersion, xmlNamespace, targetPrefix, signingName, …"""
    found: Mapping[str, Any] = _service_model(service).metadata
    return found


def error_shape(service: str, code: str) -> Shape | None:
    """The shape of the error `code`, by its name or by the code that it has in old protocols."""
    return _error_shapes(service).get(code)


def project(service: str, operation_name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """What of `record` the operation's answer has, at every level.

    Members that the output shape does not know are left out, and so are those that are None.
    Empty lists, maps and texts stay: clients need those back that they sent (v1's
    `HyperparameterTuner.attach` reads `CategoricalParameterRanges: []`).
    """
    shape = operation(service, operation_name).output
    return _projected(shape, record) if shape else {}


def _projected(shape: Shape, value: Any) -> Any:
    if shape.kind == "structure" and not shape.is_document:
        return {
            name: _projected(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if shape.kind == "list":
        return [_projected(shape.member, item) for item in value]
    if shape.kind == "map":
        return {key: _projected(shape.value, item) for key, item in value.items()}
    return value


@cache
def _error_shapes(service: str) -> dict[str, Shape]:
    shapes = [Shape(source) for source in _service_model(service).error_shapes]
    by_code = {shape.error_code: shape for shape in shapes if shape.error_code}
    return {**by_code, **{shape.name: shape for shape in shapes}}


@cache
def _operation_name_set(service: str) -> frozenset[str]:
    return frozenset(_service_model(service).operation_names)


@cache
def _service_model(service: str) -> botocore_model.ServiceModel:
    # Imported here because botocore brings its HTTP client along (0.2 s): nobody who only asks
    # for the version or the help should wait for it.
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    # Only the models that botocore was shipped with: ~/.aws/models may hold a user's own.
    loader = Loader(
        extra_search_paths=[Loader.BUILTIN_DATA_PATH],
        file_loader=_PlainFiles(),  # type: ignore[arg-type]  # stubs want botocore's own class
        include_default_search_paths=False,
    )
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


class _PlainFiles:
    """botocore's file loader without its ordered dictionaries, which take three times as long."""

    def exists(self, path: str) -> bool:
        return Path(path + ".json").is_file() or Path(path + ".json.gz").is_file()

    def load_file(self, path: str) -> Any:
        plain, packed = Path(path + ".json"), Path(path + ".json.gz")
        if plain.is_file():
            return json.loads(plain.read_bytes())
        if packed.is_file():
            return json.loads(gzip.decompress(packed.read_bytes()))
        return None
