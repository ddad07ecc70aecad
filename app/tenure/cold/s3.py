"""Objects in an S3 bucket. boto3's calls block: whoever is on an event loop makes them in a thread."""

import re
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import md5, sha256
from typing import Any, Final
from urllib.parse import urlencode

from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tenure.cold.files import checked_name
from tenure.cold.objectlock import MODE_FIELD, ObjectLock
from tenure.cold.objects import HERE, NO_TAGS, RESTORED_DAYS, Standing, checked_range, too_short
from tenure.cold.s3client import busy, client_of, mapped
from tenure.cold.storage import gives_at_once
from tenure.errors import Unsupported

_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_RACING: Final = frozenset({"ConditionalRequestConflict", "409"})
_SHORT: Final = frozenset({"InvalidRange", "416"})
_UNKNOWN: Final = frozenset({"NotImplemented", "501"})
_UNLOCKABLE: Final = frozenset({"InvalidRequest", "ObjectLockConfigurationNotFoundError", *_UNKNOWN})
_BROKEN_OFF: Final = (ResponseStreamingError, IncompleteReadError, ReadTimeoutError)
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(?:\d+|\*)")
_RESTORED: Final = re.compile(r'ongoing-request="(true|false)"(?:, *expiry-date="([^"]*)")?')
_TRIES, _CHUNK = 5, 1 << 18
_PROBE: Final = "probe/if-none-match"
_TEXT, _BYTES = "text/plain; charset=utf-8", "application/octet-stream"


class S3Objects:
    """Objects below a prefix of a bucket. A put is visible whole or not at all: S3 says so."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - boto3 has no types of its own
        bucket: str,
        prefix: str,
        lock: ObjectLock | None = None,
    ) -> None:
        """`prefix` is empty or ends with a slash. `lock`: how what may be locked is; None: nothing is."""
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._lock = lock
        self._probing = threading.Lock()
        self._conditional: bool | None = None

    def put(self, name: str, data: bytes) -> None:
        """Create or replace an object. One request. A state before it that is locked stays, out of sight."""
        with mapped("written"):
            self._put(name, data, **self._locked(name, data))

    def keep(self, name: str, data: bytes, *, tags: Mapping[str, str] = NO_TAGS) -> bool:
        """Create an object unless there is one; whether it now is there with this content.

        One request for a new object, two for one that is there. Two on a store without `If-None-Match`,
        where of two writers at the same instant the later one holds. Unsupported on a store without tags,
        when there are some: then nothing was created. What is there already is not locked, nor for longer.
        """
        more = {**_tagging(tags), **self._locked(name, data, tags)}
        with mapped("written"):
            if not self._is_conditional():
                there = self._get(name)
                if there is None:
                    self._put(name, data, **more)
                return there in (None, data)
            for _ in range(_TRIES):
                if self._create(name, data, **more):
                    return True
                there = self._get(name)
                if there is not None:
                    return there == data
        raise busy("ConditionalRequestConflict")

    def retag(self, name: str, tags: Mapping[str, str]) -> None:
        """Give an object these tags in place of its own. One request."""
        chosen = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        with mapped("tagged"):
            self._client.put_object_tagging(
                Bucket=self._bucket, Key=self._key(name), Tagging={"TagSet": chosen}
            )

    def restore(self, name: str) -> None:
        """Ask for an archived object, for `RESTORED_DAYS` days. One request; it takes the archive hours."""
        wanted = {"Days": RESTORED_DAYS, "GlacierJobParameters": {"Tier": "Standard"}}
        with mapped("restored"):
            try:
                self._client.restore_object(Bucket=self._bucket, Key=self._key(name), RestoreRequest=wanted)
            except ClientError as failure:
                if failure.response["Error"]["Code"] != "RestoreAlreadyInProgress":
                    raise

    def state(self, name: str) -> Standing | None:
        """Where an object is. One request (HEAD), which reads nothing of it.

        Of a storage class that AWS does not have it is taken for granted that it gives out at once.
        """
        with mapped("read"):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
            except ClientError as failure:
                if failure.response["Error"]["Code"] in _ABSENT:
                    return None
                raise
        return _standing(found.get("StorageClass", ""), found.get("ArchiveStatus"), found.get("Restore", ""))

    def get(self, name: str) -> bytes | None:
        """An object's bytes, or None. One request."""
        with mapped("read"):
            return self._get(name)

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        """Some bytes of an object, or None.

        One request, and one more for each time an answer breaks off: it goes on where the last one ended,
        under `If-Match`, so that no two states of an object are ever joined.
        """
        checked_range(start, length)
        found = bytearray()
        same: dict[str, str] = {}
        with mapped("read"):
            for _ in range(_TRIES):
                answer = self._open_range(name, start + len(found), start + length - 1, same)
                if answer is None:
                    return None
                same = {"IfMatch": answer["ETag"]}
                with suppress(*_BROKEN_OFF):
                    for chunk in answer["Body"].iter_chunks(_CHUNK):
                        found += chunk
                if len(found) >= length:
                    break
        if len(found) != length:
            raise busy("IncompleteBody")
        return bytes(found)

    def names(self, prefix: str) -> Iterator[str]:
        """Names of the objects below a folder, sorted by bytes; one request for a thousand."""
        below = f"{self._prefix}{checked_name(prefix)}/" if prefix else self._prefix
        token: dict[str, str] = {}
        while True:
            with mapped("listed"):
                page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=below, **token)
            names = (one["Key"].removeprefix(self._prefix) for one in page.get("Contents", ()))
            yield from (name for name in names if name != _PROBE)
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when there is none. One request.

        In a bucket with versions, as one with Object Lock is, it is only hidden behind a delete marker: for
        reads and lists it is gone, and its bytes go by the bucket's rules, after its lock.
        """
        with mapped("changed"):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    # ── one request each ─────────────────────────────────────────────────────────────────────────
    def _locked(self, name: str, data: bytes, tags: Mapping[str, str] = NO_TAGS) -> dict[str, Any]:
        """What a put says of a lock. S3 takes one only with a checksum, and every server knows this one."""
        now = datetime.now(UTC).replace(microsecond=0)  # servers read dates of several spellings, not of all
        until = self._lock.until(name, tags, now) if self._lock else None
        if self._lock is None or until is None:
            return {}
        return {
            "ObjectLockMode": self._lock.mode.upper(),
            "ObjectLockRetainUntilDate": until,
            "ContentMD5": b64encode(md5(data, usedforsecurity=False).digest()).decode(),
        }

    def _put(self, name: str, data: bytes, **more: Any) -> None:  # noqa: ANN401 - boto3 has no types of its own
        # The store compares the checksum, if it knows it, before it keeps anything. As a header and not, as
        # is the SDK's own way over TLS, in a trailer, which other servers than AWS's may take for content.
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(name),
                Body=data,
                ChecksumSHA256=b64encode(sha256(data).digest()).decode(),
                **_headers(name),
                **more,
            )
        except ClientError as failure:
            code = failure.response["Error"]["Code"]
            if "ObjectLockMode" in more and code in _UNLOCKABLE:
                raise Unsupported(
                    f"The bucket does not lock objects ({code}); nothing was written.",
                    field=MODE_FIELD,
                    rule="a bucket that was made with Object Lock",
                    remedy=f"Use one that was made with it, or leave {MODE_FIELD} empty.",
                ) from failure
            if "Tagging" in more and code in _UNKNOWN:
                raise Unsupported(
                    "The object store knows no tags on objects; nothing was written.",
                    remedy="Use one that does: its rules find packs of one retention class by their tag.",
                ) from failure
            raise

    def _create(self, name: str, data: bytes, **more: Any) -> bool:  # noqa: ANN401 - as `_put`
        """Put under `If-None-Match: *` (RFC 9110 §13.1.2); False when something has the name."""
        try:
            self._put(name, data, IfNoneMatch="*", **more)
        except ClientError as failure:
            if failure.response["Error"]["Code"] in _TAKEN | _RACING:
                return False
            raise
        return True

    def _get(self, name: str) -> bytes | None:
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
            return bytes(found["Body"].read())
        except ClientError as failure:
            if failure.response["Error"]["Code"] in _ABSENT:
                return None
            raise

    def _open_range(self, name: str, first: int, last: int, same: dict[str, str]) -> Any:  # noqa: ANN401 - boto3
        """The answer to a request for these bytes, its body still to be read; None without the object."""
        try:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._key(name), Range=f"bytes={first}-{last}", **same
            )
        except ClientError as failure:
            code = failure.response["Error"]["Code"]
            if code in _ABSENT:
                return None
            if code in _SHORT:
                raise too_short() from failure
            if code in _TAKEN:
                raise busy("PreconditionFailed") from failure
            raise
        given = _RANGE.fullmatch(answer.get("ContentRange", ""))
        if given is not None and (int(given[1]), int(given[2])) == (first, last):
            return answer
        answer["Body"].close()  # unread: it may be all of a large object
        if given is not None and int(given[1]) == first and int(given[2]) < last:
            raise too_short()
        raise Unsupported(
            "The object store does not answer requests for a part of an object; nothing was read.",
            remedy="Use one that knows range requests (RFC 9110 §14.2), or mend the proxy before it.",
        )

    def _is_conditional(self) -> bool:
        """Whether the store knows `If-None-Match: *`: some refuse it, some ignore it. Asked once."""
        with self._probing:
            if self._conditional is None:
                self._put(_PROBE, b"")
                try:
                    self._conditional = not self._create(_PROBE, b"")
                except ClientError as failure:
                    if failure.response["ResponseMetadata"]["HTTPStatusCode"] not in (400, 501):
                        raise
                    self._conditional = False
            return self._conditional

    def _key(self, name: str) -> str:
        return self._prefix + checked_name(name)


def open_bucket(bucket: str, prefix: str, endpoint: str, lock: ObjectLock | None = None) -> S3Objects:
    """A bucket of AWS, or of the S3 server at `endpoint`. Nothing is asked of it yet."""
    return S3Objects(client_of(endpoint), bucket, prefix, lock)


def _headers(name: str) -> dict[str, str]:
    """How an object is served (C2SP tlog-tiles): type, and for how many seconds it may be kept."""
    last = name.rpartition("/")[2]
    if last in ("checkpoint", "vkey"):
        return {"ContentType": _TEXT, "CacheControl": "max-age=5"}
    if "/checkpoints/" in name:
        return {"ContentType": _TEXT}
    if "/tile/" in name:  # partial ones too: a content never changes
        return {"ContentType": _BYTES, "CacheControl": "max-age=31536000, immutable"}
    return {"ContentType": _BYTES}


def _tagging(tags: Mapping[str, str]) -> dict[str, str]:
    return {"Tagging": urlencode(sorted(tags.items()))} if tags else {}


def _standing(storage_class: str, archive_status: str | None, restore: str) -> Standing:
    """From the answer's headers (S3 API, HeadObject): `x-amz-restore` is there from the first request on."""
    given = _RESTORED.match(restore)
    if given is not None and given[1] == "true":
        return Standing("coming")
    if given is not None:
        try:
            return Standing("here", int(parsedate_to_datetime(given[2] or "").timestamp()) * 1_000_000)
        except ValueError:
            return HERE
    return HERE if gives_at_once(storage_class) and not archive_status else Standing("archived")
