"""Whether a bucket has Object Lock, so that what is put there can be locked. Blocking, as `cold.s3` is."""

from typing import Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tenure.cold.objectlock import MODE_FIELD
from tenure.cold.s3client import REFUSED, client_of, failure_of
from tenure.errors import Conflict

_NONE: Final = frozenset(
    {"ObjectLockConfigurationNotFoundError", "NotImplemented", "501", "MethodNotAllowed", "405"}
)


class Standing(NamedTuple):
    """`enabled`: objects can be locked. `default`: the bucket locks whatever is put, with nobody asking."""

    enabled: bool
    default: bool


def standing(bucket: str, endpoint: str) -> Standing:
    """What the bucket says. One request.

    Raises Conflict when these credentials may not ask, Unavailable when it cannot be asked now.
    """
    try:
        found = client_of(endpoint).get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    except ClientError as failure:
        code = failure.response["Error"]["Code"]
        if code in _NONE:
            return Standing(enabled=False, default=False)
        if code in REFUSED:
            raise Conflict(
                f"S3 refuses these credentials ({code}): whether the bucket has Object Lock is not known. "
                "Nothing was opened.",
                field=MODE_FIELD,
                rule="a bucket that says that it has Object Lock",
                remedy="They need s3:GetBucketObjectLockConfiguration on the bucket, of the mirror too, and "
                "s3:PutObjectRetention on what is in it.",
            ) from failure
        raise failure_of("whether the bucket has Object Lock is not known", failure) from failure
    except BotoCoreError as failure:
        raise failure_of("whether the bucket has Object Lock is not known", failure) from failure
    return Standing(found.get("ObjectLockEnabled") == "Enabled", bool(found.get("Rule")))


def require(bucket: str, endpoint: str, *, field: str, locking: bool) -> None:
    """Conflict unless the bucket locks what it is asked to, if there is any such thing, and nothing else.

    `field`: the setting that names the bucket. Raises as `standing`.
    """
    found = standing(bucket, endpoint)
    if locking and not found.enabled:
        raise Conflict(
            f"The bucket of {field} has no Object Lock, so that nothing in it can be locked. Nothing was "
            "opened.",
            field=MODE_FIELD,
            rule="a bucket that was made with Object Lock",
            remedy="Make a bucket with it (and so with versioning) and move the objects there, or leave "
            f"{MODE_FIELD} empty.",
        )
    if found.default:
        raise Conflict(
            f"The bucket of {field} locks all that is put there, key state and what has to go as well. "
            "Nothing was opened.",
            field=field,
            rule="a bucket without a default retention",
            remedy="Take the default retention off the bucket's Object Lock configuration: the service says "
            "of each object whether it is locked.",
        )
