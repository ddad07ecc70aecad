"""The keyed digest of a row: another one for every change of a clear column, the same when content goes."""

from dataclasses import fields, replace
from typing import Any

import pytest

from tenure import rowseals
from tenure.keyring import TenantKeyring
from tenure.keys.ggm import PuncturedState
from tenure.model.breakglass import Elevation
from tenure.model.decision import Decision
from tenure.model.notices import Notice
from tenure.store.cohorts import Cohort
from tenure.store.configurations import Generation
from tenure.store.events import Event
from tenure.store.holds import Hold
from tenure.store.records import StoredVersion
from tenure.store.shreds import Shred
from tenure.store.subjectlimits import SubjectLimit


def keys(seed: int = 0) -> TenantKeyring:
    return TenantKeyring("t", PuncturedState.fresh(bytes([seed]) * 32), 1, frozenset(), {})


VERSION = StoredVersion(
    key_index="",
    record_id="r",
    latest=2,
    version=1,
    version_id="v",
    scope="s.t",
    labels="contact,health",
    state="live",
    created_at=10,
    expires_at=None,
    entry="w-1",
    header=b"h",
    head=b"d",
    content=b"c",
    shred_id=None,
    segments=None,
    cohort=7,
)
COHORT = Cohort("t", "[]", 5, "open", None, "")
DECISION = Decision("d", "p", "purpose", "s", {"agent": "a", "model": "m"}, 10, None, None, None)
HOLD = Hold("h", "record", "r", "litigation", 5, "active", "p", 10, None)
MADE = Generation(3, 10, "p", "w-1", "sha256:0", [["Role", "r", "created"]], None)
ELEVATION = Elevation("b", "p", "rescuer", 5, "requested", 10, 6, b"h", b"r").approved("q", 24, 20)
NOTICE = Notice("n", "r", "bank", "erased", 1, "queued", 7, b"h", b"b", 10, 20, None, 0, 10, None, "")
SHRED = Shred("e", "subject", "s", None, "requested", {}, "p", 10, {}, None)


def other(value: Any) -> Any:
    if isinstance(value, bytes):
        return value + b"x"
    if isinstance(value, int):
        return value + 1
    if isinstance(value, dict):
        return {**value, "agent": "b"}
    return f"{value}x" if value is not None else ""


@pytest.mark.parametrize(
    "column",
    [
        "version_id",
        "record_id",
        "version",
        "scope",
        "labels",
        "created_at",
        "expires_at",
        "segments",
        "cohort",
    ],
)
def test_of_a_version(column: str) -> None:
    changed = VERSION._replace(**{column: other(getattr(VERSION, column))})
    assert rowseals.of_version(keys(), changed) != rowseals.of_version(keys(), VERSION)


def test_what_may_change_is_not_in_it() -> None:
    """Erased, or hidden behind a newer version: the entry that wrote it still says what was written."""
    gone = VERSION._replace(
        state="erased", header=None, head=None, content=None, shred_id="e", latest=7, entry=""
    )
    assert rowseals.of_version(keys(), gone) == rowseals.of_version(keys(), VERSION)


@pytest.mark.parametrize(
    "column", [one.name for one in fields(Decision) if one.name not in ("purpose", "seal_entry")]
)
def test_of_a_decision(column: str) -> None:
    changed = replace(DECISION, **{column: other(getattr(DECISION, column))})
    assert rowseals.of_decision(keys(), changed) != rowseals.of_decision(keys(), DECISION)


@pytest.mark.parametrize("column", ["id", "anchor", "leaf"])
def test_of_a_cohort(column: str) -> None:
    changed = COHORT._replace(**{column: other(getattr(COHORT, column))})
    assert rowseals.of_cohort(keys(), changed) != rowseals.of_cohort(keys(), COHORT)


@pytest.mark.parametrize("column", ["id", "kind", "target", "ground", "leaf", "placed_by", "placed_at"])
def test_of_a_hold(column: str) -> None:
    changed = HOLD._replace(**{column: other(getattr(HOLD, column))})
    assert rowseals.of_hold(keys(), changed) != rowseals.of_hold(keys(), HOLD)


@pytest.mark.parametrize("column", [one for one in Event._fields if one != "entry"])
def test_of_an_event(column: str) -> None:
    event = Event("s", "a.b", "customer.left", 10, "w-1")
    changed = event._replace(**{column: other(getattr(event, column))})
    assert rowseals.of_event(keys(), changed) != rowseals.of_event(keys(), event)


@pytest.mark.parametrize("column", [one for one in SubjectLimit._fields if "entry" not in one])
def test_of_a_subject_limit(column: str) -> None:
    limit = SubjectLimit("l", "s", "objection", "marketing", "r", "p", 10, 4, "w-1", "q", 20, "w-2")
    changed = limit._replace(**{column: other(getattr(limit, column))})
    assert rowseals.of_subject_limit(keys(), changed) != rowseals.of_subject_limit(keys(), limit)


@pytest.mark.parametrize("column", Notice._fields)
def test_of_a_notice(column: str) -> None:
    changed = NOTICE._replace(**{column: other(getattr(NOTICE, column))})
    same = column in {"attempts", "next_at", "result", "entry"}
    assert (rowseals.of_notice(keys(), changed) == rowseals.of_notice(keys(), NOTICE)) is same


@pytest.mark.parametrize("column", ["id", "kind", "target_id", "requested_by", "requested_at"])
def test_of_an_erasure(column: str) -> None:
    changed = SHRED._replace(**{column: other(getattr(SHRED, column))})
    assert rowseals.of_shred(keys(), changed) != rowseals.of_shred(keys(), SHRED)


@pytest.mark.parametrize("column", [one for one in Generation._fields if one != "entry"])
def test_of_a_configuration(column: str) -> None:
    changes = {"changes": [["Role", "r", "changed"]], "restored": 1}
    changed = MADE._replace(**{column: changes.get(column, other(getattr(MADE, column)))})
    assert rowseals.of_configuration(keys(), changed) != rowseals.of_configuration(keys(), MADE)


def test_null_empty_and_the_word_differ() -> None:
    made = {rowseals.of_decision(keys(), replace(DECISION, subject_id=one)) for one in (None, "", "null")}
    assert len(made) == 3


def test_columns_do_not_run_into_each_other() -> None:
    moved = VERSION._replace(scope="s.tc", labels="ontact,health")
    assert rowseals.of_version(keys(), moved) != rowseals.of_version(keys(), VERSION)


def test_only_the_tenants_keys_make_it() -> None:
    assert rowseals.of_version(keys(1), VERSION) != rowseals.of_version(keys(), VERSION)


@pytest.mark.parametrize("column", Elevation._fields)
def test_of_an_elevation(column: str) -> None:
    changed = ELEVATION._replace(**{column: other(getattr(ELEVATION, column))})
    assert rowseals.of_elevation(keys(), changed) != rowseals.of_elevation(keys(), ELEVATION)
    assert rowseals.of_elevation(keys(1), ELEVATION) != rowseals.of_elevation(keys(), ELEVATION)
