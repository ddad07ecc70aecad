"""What may be locked in a bucket, and until when; what no setting may ever lock."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.cold.objectlock import ObjectLock, object_lock
from tenure.errors import Invalid

NOW = datetime(2026, 11, 29, tzinfo=UTC)
LOG = "ledger/01890000-0000-7000-8000-000000000001/1"


@pytest.mark.parametrize(
    ("name", "tags", "days"),
    [
        (f"{LOG}/tile/0/x001/067.p/12", {}, 200),
        (f"{LOG}/tile/entries/000", {}, 200),
        (f"{LOG}/checkpoints/0000000000000000012", {}, 200),
        (f"{LOG}/timestamps/12.tsr", {}, 200),
        (f"{LOG}/rotations", {}, 200),
        ("packs/t/p", {"tenure-class": "keep"}, 200),
        ("packs/t/p", {"tenure-class": "a30"}, 200),
        ("packs/t/p", {"tenure-class": "x365"}, 200),
        ("packs/t/p", {"tenure-class": "a10-x30"}, 30),
        # What is replaced in place, and what has to go when it was taken along.
        (f"{LOG}/checkpoint", {}, None),
        (f"{LOG}/vkey", {}, None),
        ("handover/t/ledger/1/tile/0/000", {}, None),
        ("handover/t/certificates/c.json", {}, None),
        ("probe/if-none-match", {}, None),
        # A pack whose class is not known; what the mirror has; what only looks like a log or a pack.
        ("packs/t/p", {}, None),
        ("manifests/000000000001-ab", {}, None),
        ("shards/t/00-0-1-ab", {}, None),
        ("certificates/s", {}, None),
        ("pointer", {}, None),
        ("mirror/ledger/t/1/tile/0/000", {}, None),
        ("packsized/t/p", {"tenure-class": "keep"}, None),
    ],
)
def test_until_when(name, tags, days):
    for mode in ("governance", "compliance"):
        until = ObjectLock(mode, 200).until(name, tags, NOW)
        assert until == (None if days is None else NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("mode", "days", "in_bucket", "field"),
    [
        ("", 30, True, "TENURE_OBJECT_LOCK"),
        ("forever", 30, True, "TENURE_OBJECT_LOCK"),
        ("compliance", 0, True, "TENURE_OBJECT_LOCK_DAYS"),
        ("governance", -1, True, "TENURE_OBJECT_LOCK_DAYS"),
        ("governance", 36_501, True, "TENURE_OBJECT_LOCK_DAYS"),
        ("governance", 30, False, "TENURE_OBJECT_LOCK"),
    ],
)
def test_half_a_setting_is_none(mode, days, in_bucket, field):
    with pytest.raises(Invalid) as wrong:
        object_lock(mode, days, in_bucket=in_bucket)
    assert wrong.value.field == field
    assert wrong.value.rule
    assert wrong.value.remedy


def test_without_settings_nothing_is_locked():
    assert object_lock("", 0, in_bucket=True) is None
    assert object_lock("", 0, in_bucket=False) is None
    assert object_lock("compliance", 30, in_bucket=True) == ObjectLock("compliance", 30)
