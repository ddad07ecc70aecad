"""Where a cell's objects and mirror lie, by its settings, and what of them is locked in a bucket."""

from pathlib import Path
from typing import NamedTuple

import structlog

from tenure.cold.objectlock import ObjectLock, object_lock
from tenure.cold.open import BucketPlace, place_of, require_lock
from tenure.errors import Unavailable
from tenure.settings import Settings

_log = structlog.get_logger(__name__)


class Places(NamedTuple):
    """Where objects and mirror lie: folders, or places in buckets."""

    objects: Path | BucketPlace
    mirror: Path | BucketPlace


def places_of(settings: Settings) -> Places:
    """Invalid when a URL names no place."""
    return Places(
        place_of(settings.objects_url, settings.data_dir / "objects", "TENURE_OBJECTS_URL"),
        place_of(settings.mirror_url, settings.root_dir / "mirror", "TENURE_MIRROR_URL"),
    )


def object_lock_of(settings: Settings) -> ObjectLock | None:
    """How objects are locked in their bucket; the mirror never is. Raises Invalid naming the setting."""
    in_bucket = isinstance(places_of(settings).objects, BucketPlace)
    return object_lock(settings.object_lock, settings.object_lock_days, in_bucket=in_bucket)


def require_locks(settings: Settings) -> bool:
    """Whether objects are locked. Conflict when the buckets are not so that those are, and nothing else is.

    Up to two requests. Unavailable when they cannot be asked now.
    """
    if object_lock_of(settings) is None:
        return False
    objects, mirror = places_of(settings)
    for field, place in (("TENURE_OBJECTS_URL", objects), ("TENURE_MIRROR_URL", mirror)):
        if isinstance(place, BucketPlace):
            require_lock(place, field, settings.s3_endpoint, locking=place is objects)
    return True


def check_locks(settings: Settings) -> None:
    """At the start. A store that is away holds nothing up: it refuses a lock that it cannot keep, too."""
    try:
        require_locks(settings)
    except Unavailable as failure:
        _log.warning("whether the bucket has Object Lock is not known", error=failure.kind)
