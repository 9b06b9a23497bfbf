"""Search: training jobs and endpoints by any of their properties."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sagedock.aws.model import Shape, project
from sagedock.aws.model import operation as operation_model
from sagedock.domain.hosting import Endpoint
from sagedock.domain.training import TrainingJob
from sagedock.errors import NotEmulated
from sagedock.services.listing import DEFAULT_PAGE, bad_token, read_token, write_token
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.sagemaker import endpoint_view, training_view
from sagedock.services.sagemaker.search_expressions import (
    check_expression,
    is_visible,
    satisfies,
)
from sagedock.services.sagemaker.search_properties import (
    check_name,
    order_key,
    searchable,
    values_at,
)
from sagedock.store.resources import Resources, Tags

Record = Mapping[str, Any]

_OPERATION: Final = "Search"
_IDENTITY: Final = {"TrainingJob": "TrainingJobArn", "Endpoint": "EndpointArn"}


class SearchOperations:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Search.html"""

    service = "sagemaker"

    def __init__(
        self, jobs: Resources[TrainingJob], endpoints: Resources[Endpoint], tags: Tags
    ) -> None:
        self._jobs, self._endpoints, self._tags = jobs, endpoints, tags
        self._records: dict[str, Callable[[], Iterable[Record]]] = {
            "TrainingJob": self._of_jobs,
            "Endpoint": self._of_endpoints,
        }

    @operation(_OPERATION)
    def search(self, request: Request, context: Context) -> Answer:
        """Resources that satisfy the expression, last modified first unless asked otherwise."""
        kind = request["Resource"]
        if kind not in self._records:
            raise NotEmulated(
                "sagemaker",
                f"Search for {kind}",
                f"It finds: {', '.join(self._records)}.",
            )
        found = self._found(kind, request)
        descending = request.get("SortOrder", "Descending") == "Descending"
        sort_by = request.get("SortBy", "LastModifiedTime")
        check_name(sort_by, _shape(kind))

        def key(record: Record) -> list[Any]:
            return [*order_key(values_at(searchable(record), sort_by)), record[_IDENTITY[kind]]]

        found.sort(key=key, reverse=descending)
        total = len(found)
        if "NextToken" in request:
            last = _last_key(request["NextToken"])
            found = [r for r in found if (key(r) < last if descending else key(r) > last)]
        shown = found[: int(request.get("MaxResults", DEFAULT_PAGE))]
        answer: Answer = {
            "Results": [{kind: record} for record in shown],
            "TotalHits": {"Value": total, "Relation": "EqualTo"},
        }
        if len(shown) < len(found):
            answer["NextToken"] = write_token(_OPERATION, key(shown[-1]))
        return project("sagemaker", _OPERATION, answer)

    def _found(self, kind: str, request: Request) -> list[Record]:
        expression = request.get("SearchExpression")
        if expression is not None:
            check_expression(expression, _shape(kind))
        if request.get("CrossAccountFilterOption") == "CrossAccount":
            return []
        conditions = list(request.get("VisibilityConditions", ()))
        found = []
        for record in self._records[kind]():
            plain = searchable(record)
            wanted = expression is None or satisfies(plain, expression)
            if wanted and is_visible(plain, conditions):
                found.append(record)
        return found

    def _of_jobs(self) -> Iterable[Record]:
        for job in self._jobs.find():
            yield _present({**training_view.described(job), "Tags": self._tags.of(job.arn)})

    def _of_endpoints(self) -> Iterable[Record]:
        for endpoint in self._endpoints.find():
            record = endpoint_view.described(endpoint, None)
            yield _present({**record, "Tags": self._tags.of(endpoint.arn)})


def _shape(kind: str) -> Shape:
    output = operation_model("sagemaker", _OPERATION).output
    assert output is not None, "the model of Search has an answer"
    return output.members["Results"].member.members[kind]


def _present(record: Record) -> Record:
    return {member: value for member, value in record.items() if value is not None}


def _last_key(token: str) -> list[Any]:
    said = read_token(_OPERATION, token)
    match said:
        case [int(), int() | float() | str(), str()]:
            return list(said)
    raise bad_token(_OPERATION, token)
