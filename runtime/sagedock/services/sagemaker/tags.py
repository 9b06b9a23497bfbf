"""Tags of any SageMaker resource."""

from __future__ import annotations

from sagedock.domain.arns import Arn
from sagedock.domain.hosting import Endpoint
from sagedock.domain.resource import EndpointConfig, Model
from sagedock.errors import ServiceError, ValidationException
from sagedock.services.listing import read_token, write_token
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.sagemaker import refusals
from sagedock.services.sagemaker.tag_rules import check_tag_count, checked_tags
from sagedock.store.resources import Tags

_NOUNS = {kind.kind: kind.noun for kind in (Model, EndpointConfig, Endpoint)}
_LIST = "ListTags"


class TagOperations:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html and its
    neighbours."""

    service = "sagemaker"

    def __init__(self, tags: Tags) -> None:
        self._tags = tags

    @operation("AddTags")
    def add(self, request: Request, context: Context) -> Answer:
        """Add or overwrite; answers all tags that the resource has then."""
        arn = self._known(request["ResourceArn"])
        added = checked_tags(request["Tags"])
        check_tag_count(self._tags.of(arn), added)
        self._tags.put(arn, added)
        return {"Tags": self._tags.of(arn)}

    @operation("ListTags")
    def list(self, request: Request, context: Context) -> Answer:
        """In the order in which they were given; 50 at the most, so that one page holds all."""
        arn = self._known(request["ResourceArn"])
        tags = self._tags.of(arn)
        start = 0
        if "NextToken" in request:
            start = int(read_token(_LIST, request["NextToken"]))
        end = start + int(request.get("MaxResults", Tags.LIMIT))
        answer: Answer = {"Tags": tags[start:end]}
        if end < len(tags):
            answer["NextToken"] = write_token(_LIST, end)
        return answer

    @operation("DeleteTags")
    def delete(self, request: Request, context: Context) -> Answer:
        """Remove by key; keys that are not there are no error."""
        self._tags.remove(self._known(request["ResourceArn"]), request["TagKeys"])
        return {}

    def _known(self, arn: str) -> str:
        """Raises what describing the resource would raise."""
        if self._tags.exists(arn):
            return arn
        raise _not_found(arn)


def _not_found(arn: str) -> ServiceError:
    said = Arn.read(arn)
    kind, _, name = said.resource.partition("/") if said else ("", "", "")
    if kind in _NOUNS:
        return refusals.not_found(_NOUNS[kind], arn)
    if kind == "training-job":
        return refusals.training_job_not_found()
    return ValidationException(f'Could not find resource "{name or arn}" with ARN "{arn}".')
