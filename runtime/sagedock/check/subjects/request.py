"""The body of a request, from a JSON file: which operation it is for, and what it says where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

from sagedock.aws import model
from sagedock.aws.model import Shape
from sagedock.check.findings import Level
from sagedock.check.subjects.hit import Hit
from sagedock.check.subjects.json_places import Document, Path, parsed, pointer
from sagedock.errors import CheckError

SERVICE = "sagemaker"
OPERATIONS = (
    "CreateTrainingJob",
    "CreateModel",
    "CreateEndpointConfig",
    "CreateEndpoint",
    "CreateTransformJob",
    "CreateHyperParameterTuningJob",
    "CreateProcessingJob",
    "UpdateEndpoint",
)
"""Operations that a body is recognised as; of two that fit, the first."""


@dataclass(frozen=True)
class Unfit:
    """A member of another type than the model's, or one that the model does not have."""

    path: Path
    said: str
    is_unknown: bool = False


@dataclass(frozen=True)
class Request:
    """One body. `others` are the bodies that are checked together with it."""

    file: str
    operation: str
    document: Document
    others: tuple[Request, ...] = field(default=(), repr=False)

    @cached_property
    def _sorted(self) -> tuple[Any, tuple[Unfit, ...]]:
        shape = model.operation(SERVICE, self.operation).input
        assert shape is not None
        unfit: list[Unfit] = []
        return _fitting(shape, self.document.value, (), unfit), tuple(unfit)

    @property
    def unfit(self) -> tuple[Unfit, ...]:
        return self._sorted[1]

    @property
    def body(self) -> Mapping[str, Any]:
        """The members that the model knows and whose types fit: rules need not ask again."""
        body: Mapping[str, Any] = self._sorted[0]
        return body

    def get(self, *path: str | int, default: Any = None) -> Any:
        """What stands at the path; `default` where it is not there."""
        value: Any = self.body
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return default
        return value

    def has(self, *path: str | int) -> bool:
        return self.get(*path) is not None

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Every text of the body with its path."""
        yield from _texts(self.body, ())

    def hit(
        self, path: Path, message: str, level: Level | None = None, *, of_key: bool = False
    ) -> Hit:
        line, column = self.document.line_and_column(path, of_key=of_key)
        lines = self.document.text.splitlines()
        source = lines[line - 1] if line <= len(lines) else ""
        return Hit(self.file, line, column, message, level, source, pointer(path))


def read_requests(files: Sequence[FilePath], operation: str | None = None) -> list[Request]:
    """The bodies in the files. Raises CheckError for what is no JSON object, and for one that no
    operation fits."""
    alone = [_read(file, operation) for file in files]
    return [
        Request(one.file, one.operation, one.document, tuple(o for o in alone if o is not one))
        for one in alone
    ]


def _read(file: FilePath, operation: str | None) -> Request:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckError(f"{file} cannot be read: {error}.") from error
    return request_of(text, file.as_posix(), operation)


def request_of(text: str, file: str, operation: str | None = None) -> Request:
    """Raises CheckError, as `read_requests` does."""
    document = parsed(text, file)
    if not isinstance(document.value, dict):
        raise CheckError(f"{file} holds no JSON object, and a request's body is one.")
    if operation is not None and not model.has_operation(SERVICE, operation):
        raise CheckError(f"SageMaker has no operation {operation}.")
    return Request(file, operation or _recognised(document.value, file), document)


def _recognised(body: Mapping[str, Any], file: str) -> str:
    """The operation whose members the body has: most of them known, none missing that name it."""

    def fit(operation: str) -> tuple[int, int]:
        shape = model.operation(SERVICE, operation).input
        assert shape is not None
        known = sum(name in shape.members for name in body)
        missing = sum(name not in body for name in shape.required)
        return known - missing, -missing

    best = max(OPERATIONS, key=fit)
    if fit(best)[0] <= 0:
        raise CheckError(
            f"{file} looks like the body of no operation. Name it with --operation, for example "
            f"--operation {OPERATIONS[0]}."
        )
    return best


_PYTHON: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "float": (int, float),
    "boolean": (bool,),
    "timestamp": (str, int, float),
    "blob": (str,),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}


def _fitting(shape: Shape, value: Any, path: Path, unfit: list[Unfit]) -> Any:
    """`value` without what does not fit; None where it does not fit itself."""
    if shape.is_document:
        return value
    types = _PYTHON.get(shape.kind, (object,))
    fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if not fits:
        unfit.append(Unfit(path, _wrong_type(path, value, types)))
        return None
    if shape.kind == "list":
        items = [_fitting(shape.member, v, (*path, i), unfit) for i, v in enumerate(value)]
        return None if None in items else items
    if shape.kind == "map":
        pairs = {k: _fitting(shape.value, v, (*path, k), unfit) for k, v in value.items()}
        return {key: item for key, item in pairs.items() if item is not None}
    if shape.kind == "structure":
        return _fitting_members(shape, value, path, unfit)
    return value


def _fitting_members(
    shape: Shape, value: Mapping[str, Any], path: Path, unfit: list[Unfit]
) -> dict[str, Any]:
    fitting = {}
    for name, item in value.items():
        if name not in shape.members:
            unfit.append(Unfit((*path, name), _unknown(name, shape), is_unknown=True))
        elif (kept := _fitting(shape.members[name], item, (*path, name), unfit)) is not None:
            fitting[name] = kept
    return fitting


def _wrong_type(path: Path, value: Any, types: tuple[type, ...]) -> str:
    """In botocore's words (validate.py), which every client shows."""
    shown = ".".join(str(part) for part in path)
    wanted = ", ".join(str(kind) for kind in types)
    return (
        f"Invalid type for parameter {shown}, value: {value!r:.80}, type: {type(value)}, valid "
        f"types: {wanted}"
    )


def _unknown(name: str, shape: Shape) -> str:
    alike = {member.lower(): member for member in shape.members}
    near = alike.get(name.lower()) or next(
        (m for low, m in alike.items() if name.lower() in low or low in name.lower()), None
    )
    hint = f"; did you mean {near}?" if near else f", must be one of: {_listed(shape)}"
    return f'Unknown parameter in input: "{name}"{hint}'


def _listed(shape: Shape) -> str:
    names = sorted(shape.members)
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
