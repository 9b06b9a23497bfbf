"""S3's operations on buckets."""

from __future__ import annotations

from sagedock.errors import ServiceError
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.s3_answers import owner, tag_set, tags_of_set, token, token_read
from sagedock.store.object_errors import no_such_tag_set
from sagedock.store.objects import Objects

_FIRST_REGION = "us-east-1"
_MAX_BUCKETS = 10_000


class BucketOperations:
    """Every bucket is in this one store, whatever its region; the region is kept and told."""

    service = "s3"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @operation("CreateBucket")
    def create(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html

        us-east-1 needs no LocationConstraint and answers 200 for a bucket that one already owns;
        every other region needs one and answers BucketAlreadyOwnedByYou.
        """
        configuration = request.get("CreateBucketConfiguration") or {}
        constraint = configuration.get("LocationConstraint")
        if not constraint and context.region != _FIRST_REGION:
            raise ServiceError(
                "The unspecified location constraint is incompatible for the region specific "
                f"endpoint this request was sent to. Send LocationConstraint={context.region}.",
                code="IllegalLocationConstraintException",
                status=400,
            )
        bucket, region = request["Bucket"], constraint or _FIRST_REGION
        if region == _FIRST_REGION:
            self._objects.buckets.ensure(bucket, region)
        else:
            self._objects.buckets.create(bucket, region)
        if tags := configuration.get("Tags"):
            self._objects.buckets.tag(bucket, tags_of_set(tags))
        return {"Location": f"/{bucket}"}

    @operation("HeadBucket")
    def head(self, request: Request, context: Context) -> Answer:
        return {"BucketRegion": self._objects.buckets.get(request["Bucket"]).region}

    @operation("DeleteBucket")
    def delete(self, request: Request, context: Context) -> Answer:
        self._objects.delete_bucket(request["Bucket"])
        return {}

    @operation("ListBuckets")
    def list(self, request: Request, context: Context) -> Answer:
        """Paged only when MaxBuckets is sent, as S3 does."""
        prefix, region = request.get("Prefix") or "", request.get("BucketRegion")
        after = token_read(request.get("ContinuationToken") or "")
        found = [
            bucket
            for bucket in self._objects.buckets.all()
            if bucket.name.startswith(prefix)
            and bucket.name > after
            and region in (None, bucket.region)
        ]
        limit = min(request.get("MaxBuckets") or _MAX_BUCKETS, _MAX_BUCKETS)
        shown = found[:limit]
        answer: Answer = {
            "Buckets": [
                {"Name": b.name, "CreationDate": b.created, "BucketRegion": b.region} for b in shown
            ],
            "Owner": owner(context.account),
        }
        if prefix:
            answer["Prefix"] = prefix
        if len(found) > limit:
            answer["ContinuationToken"] = token(shown[-1].name)
        return answer

    @operation("GetBucketLocation")
    def location(self, request: Request, context: Context) -> Answer:
        """us-east-1 is told as nothing, as S3 has done since it was the only region."""
        region = self._objects.buckets.get(request["Bucket"]).region
        return {} if region == _FIRST_REGION else {"LocationConstraint": region}

    @operation("GetBucketVersioning")
    def versioning(self, request: Request, context: Context) -> Answer:
        """No status: versioning was never enabled."""
        self._objects.buckets.get(request["Bucket"])
        return {}

    @operation("GetBucketTagging")
    def tagging(self, request: Request, context: Context) -> Answer:
        tags = self._objects.buckets.get(request["Bucket"]).tags
        if not tags:
            raise no_such_tag_set(request["Bucket"])
        return {"TagSet": tag_set(tags)}

    @operation("PutBucketTagging")
    def tag(self, request: Request, context: Context) -> Answer:
        tags = tags_of_set(request["Tagging"].get("TagSet") or ())
        self._objects.buckets.tag(request["Bucket"], tags)
        return {}

    @operation("DeleteBucketTagging")
    def untag(self, request: Request, context: Context) -> Answer:
        self._objects.buckets.tag(request["Bucket"], {})
        return {}
