"""A lifetime as callers get it (`shapes.retention`)."""

from typing import Any

from tenure.ids import rfc3339
from tenure.model.lifetime import Course, Due
from tenure.model.lifetime_words import together, words
from tenure.retention import Retained


def shown_retention(found: Retained) -> dict[str, Any]:
    """The JSON of an explained version."""
    life = found.lifetime
    return {
        "record": found.record,
        "version": found.version,
        "scope": found.scope,
        "key": found.key,
        "tier": life.tier(found.now),
        "lies": found.lies,
        "cold_at": _due(life.cold),
        "archive_at": _due(life.archive),
        "gone_at": _due(life.gone),
        "ceiling": _due(life.ceiling),
        "floor": _due(life.floor),
        "open": list(life.open),
        "held": bool(life.holds),
        "holds": list(life.holds) if found.sees_holds else [],
        "rules": [_course(one) for one in life.courses],
        "enforced": found.cohort is not None,
        "shredded_after": _due(found.cohort_gone),
        "why": [*words(life, found.now), *together(found.cohort, found.cohort_gone)],
        "entry": found.entry,
    }


def _due(due: Due | None) -> dict[str, str] | None:
    return None if due is None else {"at": rfc3339(due.at), "rule": due.rule}


def _course(one: Course) -> dict[str, Any]:
    def instant(at: int | None) -> str | None:
        return None if at is None else rfc3339(at)

    return {
        "rule": one.rule,
        "clock": one.spec.clock,
        "event": one.spec.event,
        "began": instant(one.began),
        "counted_from": one.counted_from,
        "cold_at": instant(one.cold),
        "archive_at": instant(one.archive),
        "gone_at": instant(one.gone),
        "floor_at": instant(one.floor),
        "ground": one.spec.ground,
    }
