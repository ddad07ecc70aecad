"""What lies ahead of a pack: names, rounding, what a manifest asks for, the storage classes on the way."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.cold.classes import RetentionClass, class_of
from tenure.cold.storage import AWS, Move, StorageClasses
from tenure.errors import Invalid
from tenure.model.cohorts import late_hours
from tenure.model.durations import DAYS_MAX
from tenure.model.retention import RetentionSpec

HOURS = st.integers(1, DAYS_MAX * 24)
CLASSES = st.builds(RetentionClass.of_hours, st.none() | HOURS, st.none() | HOURS)


def spec(**given_) -> RetentionSpec:
    return RetentionSpec.model_validate({"scopes": ["**"], "categories": "*", **given_})


# ── names ────────────────────────────────────────────────────────────────────────────────────────────
@given(CLASSES)
def test_a_name_is_a_tag_value_and_leads_back(one):
    assert RetentionClass.parse(one.name) == one
    assert re.fullmatch(r"[a-z0-9-]{1,256}", one.name), "what S3 takes as a tag's value"


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (RetentionClass(90, 365), "a90-x365"),
        (RetentionClass(90), "a90"),
        (RetentionClass(None, 365), "x365"),
        (RetentionClass(), "keep"),
    ],
)
def test_names_as_they_are_written_down(one, name):
    assert one.name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "a0", "a090", "a90-", "-x9", "x365-a90", "A90", "a90 ", "a90x365", "keep-x9", "a90-x90"),
        *("a91-x90", "a99999", "a999999", "x-1", "a\uff19", "a1\n"),
    ],
)
def test_no_other_spelling_is_a_class(name):
    with pytest.raises(Invalid) as refused:
        RetentionClass.parse(name)
    assert refused.value.field == "tenure-class"
    assert refused.value.rule
    assert refused.value.remedy


# ── days ─────────────────────────────────────────────────────────────────────────────────────────────
@given(HOURS)
def test_days_are_rounded_so_that_nothing_goes_early(hours):
    days = RetentionClass.of_hours(None, hours).expire_after_days
    assert hours <= days * 24 < hours + 24


@given(st.none() | HOURS, st.none() | HOURS)
def test_nothing_is_archived_that_would_be_gone(archive, expire):
    one = RetentionClass.of_hours(archive, expire)
    if one.archive_after_days is not None and one.expire_after_days is not None:
        assert one.archive_after_days < one.expire_after_days
    assert (one.expire_after_days is None) == (expire is None)


@pytest.mark.parametrize(
    ("given_", "name"),
    [
        ({"hotFor": "30d", "coldFor": "60d", "archiveFor": "200d", "deleteAfter": "400d"}, "a60-x379"),
        # 29.5 days are left, a day and two more by which a cohort may be late: up to whole days
        ({"hotFor": "12h", "deleteAfter": "30d"}, "x33"),
        ({"hotFor": "36h", "coldFor": "12h", "archiveFor": "4w"}, "a1"),
        ({"coldFor": "60d", "archiveFor": "300d", "deleteAfter": "1000d", "floor": "900d", "ground": "x"},
         "a60-x1032"),
        ({"archiveFor": "300d"}, "a1"),
        ({"hotFor": "30d", "coldFor": "60d"}, "keep"),  # nothing says that it is archived or deleted
        ({"hotFor": "30d", "coldFor": "60d", "deleteAfter": "90d"}, "x69"),
        ({"floor": "10d", "ground": "x"}, "keep"),
        # S3 knows no other clock than the put.
        ({"deleteAfter": "30d", "clock": "access"}, "keep"),
        ({"coldFor": "1d", "archiveFor": "9d", "clock": "event", "event": "left"}, "keep"),
    ],
)  # fmt: skip
def test_what_a_manifest_asks_for(given_, name):
    assert class_of(spec(**given_)).name == name


@given(st.integers(0, 900), st.integers(1, 900), st.integers(0, 5000))
def test_a_pack_never_goes_before_a_version_in_it_may(hot, left, late):
    manifest = spec(**({"hotFor": f"{hot}h"} if hot else {}), deleteAfter=f"{hot + left}h")
    packed = hot + late  # hours after the write: when it was due, or later
    gone = packed + 24 * class_of(manifest).expire_after_days
    assert gone >= hot + left + late_hours({"r": manifest}), "nor before its cohort has ended"


# ── storage classes ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("cold", "archive", "name", "moves"),
    [
        ("STANDARD_IA", "GLACIER", "a90-x365", [(30, "STANDARD_IA"), (90, "GLACIER")]),
        ("STANDARD_IA", "GLACIER", "a60", [(30, "STANDARD_IA"), (60, "GLACIER")]),
        ("STANDARD_IA", "GLACIER", "a59", [(59, "GLACIER")]),  # S3 refuses less than 30 days between
        ("STANDARD_IA", "GLACIER", "x60", [(30, "STANDARD_IA")]),
        ("STANDARD_IA", "GLACIER", "x59", []),
        ("STANDARD_IA", "GLACIER", "keep", [(30, "STANDARD_IA")]),
        ("GLACIER_IR", "DEEP_ARCHIVE", "a91-x365", [(1, "GLACIER_IR"), (91, "DEEP_ARCHIVE")]),
        ("GLACIER_IR", "DEEP_ARCHIVE", "a90-x365", [(90, "DEEP_ARCHIVE")]),
        ("", "GLACIER_IR", "a7-x30", [(7, "GLACIER_IR")]),
        ("STANDARD_IA", "", "a90-x365", [(30, "STANDARD_IA")]),
        ("", "", "a90-x365", []),
        ("", "STANDARD_IA", "a7-x40", [(30, "STANDARD_IA")]),
        ("", "STANDARD_IA", "a7-x30", []),
        ("COLD", "FROZEN", "a2-x4", [(1, "COLD"), (2, "FROZEN")]),  # another server's
        ("COLD", "FROZEN", "a1", [(1, "FROZEN")]),
    ],
)
def test_where_packs_go_and_when(cold, archive, name, moves):
    assert StorageClasses(cold, archive).moves(RetentionClass.parse(name)) == tuple(
        Move(*one) for one in moves
    )


def usable(cold: str, archive: str) -> bool:
    try:
        StorageClasses(cold, archive)
    except Invalid:
        return False
    return True


PAIRS = [(cold, archive) for cold in ("", *AWS) for archive in ("", *AWS) if usable(cold, archive)]


@given(CLASSES, st.sampled_from(PAIRS))
def test_s3_takes_whatever_is_made(one, pair):
    """The rules of PutBucketLifecycleConfiguration on AWS, as its documentation has them."""
    moves = StorageClasses(*pair).moves(one)
    days = [move.day for move in moves]
    assert days == sorted(set(days))
    assert one.expire_after_days is None or all(day < one.expire_after_days for day in days)
    for at, move in enumerate(moves):
        ia = move.storage_class in ("STANDARD_IA", "ONEZONE_IA")
        assert not ia or move.day >= 30
        assert not ia or all(later.day - move.day >= 30 for later in moves[at + 1 :])
        assert move.day >= (one.archive_after_days or 0) or move.storage_class == pair[0]


@pytest.mark.parametrize(
    ("cold", "archive", "field"),
    [
        ("GLACIER", "", "TENURE_COLD_CLASS"),  # a read would need a restore
        ("DEEP_ARCHIVE", "", "TENURE_COLD_CLASS"),
        ("STANDARD", "", "TENURE_COLD_CLASS"),
        ("standard_ia", "", "TENURE_COLD_CLASS"),
        ("STANDARD_IA<", "", "TENURE_COLD_CLASS"),
        ("", "glacier", "TENURE_ARCHIVE_CLASS"),
        ("GLACIER_IR", "GLACIER_IR", "TENURE_ARCHIVE_CLASS"),
        ("COLD", "COLD", "TENURE_ARCHIVE_CLASS"),
        ("GLACIER_IR", "STANDARD_IA", "TENURE_ARCHIVE_CLASS"),  # S3 moves objects one way only
        ("ONEZONE_IA", "GLACIER_IR", "TENURE_ARCHIVE_CLASS"),
    ],
)
def test_storage_classes_that_cannot_be_are_refused_by_name(cold, archive, field):
    with pytest.raises(Invalid) as refused:
        StorageClasses(cold, archive)
    assert refused.value.field == field
    assert refused.value.rule
    assert refused.value.remedy


def test_who_pays_for_longer_is_told():
    storage = StorageClasses("STANDARD_IA", "DEEP_ARCHIVE")
    told = storage.advice(RetentionClass(90, 120))
    assert "30 days" in told
    assert "180" in told
    assert storage.advice(RetentionClass(90, 270)) is None
    assert storage.advice(RetentionClass(90)) is None
    assert storage.advice(RetentionClass(None, 30)) is None
