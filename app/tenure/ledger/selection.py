"""Which entries belong to a population: the service and the verifier run this same filter."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tenure.ledger import schema

_NAMES = {"since": "from", "until": "to"}


class Selection(NamedTuple):
    """A filter: every part that is given must hold. `docs/spec/ledger.md` has the same table.

    `since` is included, `until` is not; both compare the entry's own `at`, in its form (RFC 3339, UTC, six
    decimals, `Z`), in which texts sort as their times do. `action` holds when one of the entry's accesses has
    it, a separate list's too. `rule` holds when it is among the rules that decided.
    """

    kind: str | None = None
    since: str | None = None
    until: str | None = None
    principal: str | None = None
    decision: str | None = None
    purpose: str | None = None
    outcome: str | None = None
    action: str | None = None
    rule: str | None = None

    def members(self) -> dict[str, str]:
        """The JSON form: what is given, under the names of the API's parameters."""
        return {_NAMES.get(name, name): part for name, part in self._asdict().items() if part is not None}

    @classmethod
    def parse(cls, value: object) -> "Selection | None":
        """The filter that a JSON value is, or None when it is none."""
        if type(value) is not dict or value.keys() - _FORMS.keys():
            return None
        if not all(_FORMS[name](part) for name, part in value.items()):
            return None
        return cls(**{_PARTS[name]: part for name, part in value.items()})

    def takes(self, entry: Mapping[str, Any], accesses: Sequence[Mapping[str, Any]]) -> bool:
        """Whether an entry belongs. `accesses` are its own ones or those of its separate list."""
        equal = (
            part is None or entry.get(name) == part
            for name, part in (
                ("kind", self.kind),
                ("principal", self.principal),
                ("decision", self.decision),
                ("purpose", self.purpose),
                ("outcome", self.outcome),
            )
        )
        return (
            all(equal)
            and (self.since is None or entry["at"] >= self.since)
            and (self.until is None or entry["at"] < self.until)
            and (self.rule is None or self.rule in entry.get("rules", ()))
            and (self.action is None or any(access["action"] == self.action for access in accesses))
        )


_FORMS: Mapping[str, schema.Check] = {
    "kind": schema.is_kind,
    "from": schema.is_instant,
    "to": schema.is_instant,
    "principal": schema.is_id,
    "decision": schema.is_id,
    "purpose": schema.is_token,
    "outcome": schema.is_token,
    "action": lambda value: type(value) is str and value in schema.ACTIONS,
    "rule": schema.is_token,
}
_PARTS = {_NAMES.get(name, name): name for name in Selection._fields}


def form_of(name: str) -> schema.Check:
    """What a member of the filter must be like."""
    return _FORMS[name]
