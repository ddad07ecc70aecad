"""One version about a person as it stands in their package: what it is, what is given of it, what is not."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tenure.crew import Desk
from tenure.errors import Erased
from tenure.ids import rfc3339
from tenure.keys.seal import OpenedKey, founding_slots
from tenure.ledger.commitment import commitment
from tenure.ledger.entry import Access, Action
from tenure.model.lifetime import Clocks, lifetime
from tenure.model.lifetime_words import OLD, words
from tenure.model.retention import RetentionSpec
from tenure.model.specs import AccessSpec
from tenure.rights.package.sharing import Mine, Part, gives_segment, gives_whole
from tenure.sealing import Head, labels_of, open_content, open_head, open_segments, unseal
from tenure.store.records import DERIVED, StoredVersion

Json = dict[str, Any]
HELD: Final = "kept for a legal obligation or claim"
ERASED: Final = "erased"
OTHERS: Final = "protects others"
RECORD: Final = "record"
THREAD: Final = "saved state of an agent"
_MARK: Final = "\x1f"
"""Begins the key of a record that belongs to a thread (`model.thread`): no record's own key has it."""


class Known(NamedTuple):
    """What is known of a version beside its row."""

    relation: int
    writer: str
    deleted_at: int | None
    clocks: Clocks


class Given(NamedTuple):
    """A version in the package, the accesses that giving it is, and which of its segments are the person's.

    `segments`: None when it has none.
    """

    item: Json
    accesses: tuple[Access, ...]
    segments: frozenset[int] | None


class Giving(NamedTuple):
    """For whom, in which entry, by which rules. `reference`: the person's own."""

    desk: Desk
    mine: Mine
    reference: str
    nonce: bytes

    def rule(self, scope: str) -> AccessSpec:
        """A scope's rule for shared versions; the default of one that is not declared any more."""
        spec = self.desk.tenancy.policy.configuration.scopes.get(scope)
        return spec.on_access if spec is not None else AccessSpec()

    def part(self, stored: StoredVersion) -> Part:
        """Whose a version is as a whole."""
        return self.mine.part(founding_slots(stored.header or b""), stored.cohort)

    def wants(self, stored: StoredVersion) -> bool:
        """Whether its content is needed: some of it may be given, and may lie in a pack."""
        if stored.state != "live" or stored.header is None:
            return False
        rule, part = self.rule(stored.scope), self.part(stored)
        return gives_whole(rule, part) or bool(stored.segments and rule.shared != "none")


def given(giving: Giving, stored: StoredVersion, known: Known) -> Given:
    """Open what may be given of a version, which is warm (`thawing`) if it is wanted."""
    desk, keys = giving.desk, giving.desk.tenancy.keys
    item = _about(giving, stored, known)
    none = frozenset[int]() if stored.segments else None
    if stored.state != "live" or stored.header is None:
        return Given(item | _nothing(HELD if stored.state == "held" else ERASED), (), none)
    try:
        opened = unseal(desk.tx, keys, stored)
    except Erased:
        return Given(item | _nothing(ERASED), (), none)
    head = open_head(keys, opened, stored)
    part = giving.part(stored)
    item["others"] = len(giving.mine.people(founding_slots(stored.header), stored.cohort)) - 1
    item["kind"] = THREAD if head.key.startswith(_MARK) else RECORD
    item["made_from_others"] = bool(head.derived_from)
    life = lifetime(_rules(giving, stored), known.clocks)
    item["kept"] = [OLD] if stored.cohort is None else words(life, desk.now)
    if gives_whole(giving.rule(stored.scope), part):
        item |= _described(giving, head)
    if stored.segments:
        return _in_segments(giving, stored, head, item)
    if not gives_whole(giving.rule(stored.scope), part):
        return Given(item | _nothing(OTHERS), (), None)
    content = open_content(opened, stored)
    item |= {"given": "whole", "content": json.loads(content)}
    return Given(item, (_access(giving, stored, opened, content),), None)


def _in_segments(giving: Giving, stored: StoredVersion, head: Head, item: Json) -> Given:
    """A version in segments: each by itself, unless none of them is about others."""
    rule, all_of_it = giving.rule(stored.scope), giving.part(stored) is Part.OWN
    whose = [giving.mine.part(slots, None) for slots in head.slots]
    mine = frozenset(at for at, part in enumerate(whose) if part in (Part.OWN, Part.NAMED))
    shown: list[Json] = []
    accesses: list[Access] = []
    if giving.wants(stored):
        desk = giving.desk
        for at, one in enumerate(open_segments(desk.tx, desk.tenancy.keys, stored, head)):
            if one.opened is not None and (all_of_it or gives_segment(rule, whose[at])):
                shown.append({"segment": at, "content": json.loads(one.content)})
                accesses.append(_access(giving, stored, one.opened, one.content, at))
    item |= {"segments": shown, "segments_in_all": len(whose)}
    if len(shown) == len(whose):
        item["given"] = "whole"
    else:
        item |= {"given": "parts", "why": OTHERS} if shown else _nothing(OTHERS)
    return Given(item, tuple(accesses), mine)


def _about(giving: Giving, stored: StoredVersion, known: Known) -> Json:
    """What is said of every version, given or not: that it is there, of which kind, since when."""
    item: Json = {
        "record": stored.record_id,
        "version": stored.version,
        "scope": stored.scope,
        "categories": list(labels_of(stored)),
        "relation": "derived from you" if known.relation == DERIVED else "about you",
        "state": _state(stored, known, giving.desk.now),
        "written_at": rfc3339(stored.created_at),
        "written_by": known.writer,
    }
    if stored.expires_at is not None:
        item["expires_at"] = rfc3339(stored.expires_at)
    if known.deleted_at is not None:
        item["deleted_at"] = rfc3339(known.deleted_at)
    return item


def _state(stored: StoredVersion, known: Known, now: int) -> str:
    if stored.state != "live":
        return stored.state
    if known.deleted_at is not None:
        return "deleted"
    if stored.version != stored.latest:
        return "earlier"
    return "current" if stored.expires_at is None or stored.expires_at > now else "expired"


def _nothing(why: str) -> Json:
    return {"given": "nothing", "why": why}


def _described(giving: Giving, head: Head) -> Json:
    """Under which key it lies and what else its writer said of it, unless that names somebody else."""
    if head.key.startswith(_MARK):
        return {}
    found: Json = {"key": head.key}
    if head.metadata:
        found["metadata"] = head.metadata
    if head.paths:
        found["paths"] = [list(path) for path in head.paths]
    others = [one for one in head.subjects if one != giving.reference]
    return {name: value for name, value in found.items() if not _names(value, others)}


def _names(value: object, others: list[str]) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return any(json.dumps(one, ensure_ascii=False)[1:-1] in text for one in others)


def _rules(giving: Giving, stored: StoredVersion) -> Mapping[str, RetentionSpec]:
    return giving.desk.tenancy.policy.rulebook.of(stored.scope, stored.labels).rules


def _access(
    giving: Giving, stored: StoredVersion, opened: OpenedKey, content: bytes, segment: int | None = None
) -> Access:
    """That this content is given out, as the ledger will say it."""
    made = commitment(
        opened.opening_salt(giving.nonce, stored.record_id, stored.version),
        tenant=giving.desk.tx.tenant_id,
        decision=None,
        record=stored.record_id,
        version=stored.version,
        content=content,
    )
    return Access(stored.record_id, stored.version, Action.RETURNED, commitment=made, segment=segment)
