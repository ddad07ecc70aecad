"""Object store URLs → object stores. What a store needs beyond the standard install is imported here, late.

    (empty)               a folder of the cell's own
    file:///DIR           another folder
    s3://BUCKET[/PREFIX]  a bucket, or what is below a prefix of it

No secret stands in a URL: credentials are found by the AWS SDK.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from tenure.cold.files import FileObjects, is_name
from tenure.cold.objectlock import ObjectLock
from tenure.cold.objects import Objects
from tenure.errors import Invalid

if TYPE_CHECKING:
    from tenure.cold.bucketrules import BucketRules

_FORMS: Final = "file:///absolute/path, or s3://bucket/prefix"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class BucketPlace(NamedTuple):
    """A bucket and what is below a prefix of it; the prefix is empty, or ends with a slash."""

    bucket: str
    prefix: str

    def overlaps(self, other: "BucketPlace") -> bool:
        """Whether one of two places contains the other."""
        mine, theirs = self.prefix, other.prefix
        return self.bucket == other.bucket and (mine.startswith(theirs) or theirs.startswith(mine))


def place_of(url: str, default: Path, field: str) -> Path | BucketPlace:
    """Where the objects of a URL lie; `default` when it is empty. Invalid names `field`, rule and remedy."""
    if not url:
        return default
    if url.startswith("file:///"):
        return Path(url.removeprefix("file://"))
    if not url.startswith("s3://"):
        raise _wrong(field, "names a kind of object store that this version does not support")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise _wrong(field, "has more in it than a bucket and a prefix")
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise _wrong(field, "has no well-formed bucket name")
    if prefix and not is_name(prefix):
        raise _wrong(field, "has a prefix with other characters than letters, digits, . _ - /")
    return BucketPlace(bucket, f"{prefix}/" if prefix else "")


def open_objects(
    url: str, default: Path, field: str, endpoint: str = "", lock: ObjectLock | None = None
) -> Objects:
    """The object tier of a URL. `endpoint` is the S3 server's URL; AWS's own when empty. `lock`: in a bucket.

    Raises Invalid naming `field`, rule and remedy. Nothing is asked of a store yet.
    """
    place = place_of(url, default, field)
    if isinstance(place, Path):
        return FileObjects(place)
    try:
        from tenure.cold.s3 import open_bucket  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise _not_installed(field) from None
    return open_bucket(place.bucket, place.prefix, endpoint, lock)


def open_rules(place: BucketPlace, field: str, endpoint: str = "") -> "BucketRules":
    """The lifecycle rules of a place's bucket. Nothing is asked of it yet."""
    try:
        from tenure.cold.bucketrules import BucketRules  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise _not_installed(field) from None
    return BucketRules(place.bucket, endpoint)


def require_lock(place: BucketPlace, field: str, endpoint: str, *, locking: bool) -> None:
    """Conflict unless a place's bucket locks what it is asked to (`locking`: there is any) and nothing else.

    One request. Unavailable when it cannot be asked now.
    """
    try:
        from tenure.cold.bucketlock import require  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise _not_installed(field) from None
    require(place.bucket, endpoint, field=field, locking=locking)


def _not_installed(field: str) -> Invalid:
    return Invalid(
        "S3 support is not installed; nothing was opened.",
        field=field,
        rule="boto3 present",
        remedy="Install it: pip install 'tenure[server,aws]'.",
    )


def _wrong(field: str, what: str) -> Invalid:
    return Invalid(
        f"{field} {what}; nothing was opened.",
        field=field,
        rule=_FORMS,
        remedy="Correct it, or leave it out for the default folder.",
    )
