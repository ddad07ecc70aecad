"""What every access has in common: who asks for what, is it allowed, and how it is put on record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tenure import ids
from tenure.crew import Desk, Needs
from tenure.errors import Conflict, Denied, Invalid, NotFound
from tenure.keys.seal import OpenedKey
from tenure.ledger.commitment import commitment
from tenure.ledger.entry import Access, EntryDraft, Kind
from tenure.model.names import is_scope
from tenure.model.principal import Credential, Principal, named
from tenure.policy import rights
from tenure.policy.verdicts import Reason, Verdict
from tenure.restraints import Against, Restraint


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks, why, and as part of which decision."""

    credential: Credential
    purpose: str
    decision: str | None = None

    def needs(self, needs: Needs) -> None:
        """The decision's state, when there is one."""
        if self.decision is not None and ids.is_id(self.decision):
            needs.decisions.append(self.decision)


@dataclass(slots=True)
class Caller:
    """An authenticated asker with a declared purpose, at a desk."""

    desk: Desk
    ask: Ask
    principal: Principal
    verdicts: list[Verdict] = field(default_factory=list)
    asked: tuple[str, str, tuple[str, ...]] = ("", "", ())
    """Action, scope and labels of the newest question."""
    unrestrained: bool = False
    """Whether restrictions and objections do not count: where people are given what is theirs (Art. 15)."""
    _against: Against | None = None

    @classmethod
    def at(cls, desk: Desk, ask: Ask) -> "Caller":
        """Authenticate, and check purpose and decision. Nothing is on record yet."""
        principal = desk.principal(ask.credential)
        if ask.purpose not in desk.tenancy.policy.configuration.purposes:
            raise Invalid(
                "The purpose is not declared; nothing was done.",
                field="Tenure-Purpose",
                rule="a purpose of the tenant's Vocabulary manifest",
                remedy="Name a declared purpose, or have the administrator declare it.",
            )
        _check_decision(desk, ask, principal)
        return cls(desk, ask, principal)

    def decide(self, action: str, scope: str, labels: tuple[str, ...]) -> Verdict:
        """Step 2 of every flow: ask policy exactly what is about to be done."""
        desk = self.desk
        verdict = rights.decide(
            desk.tenancy.policy.engine,
            self.principal,
            scope,
            labels,
            self.ask.purpose,
            action,
            ids.moment(desk.now),
        )
        self.verdicts.append(verdict)
        self.asked = action, scope, labels
        return verdict

    def visible(self, action: str, scope: str) -> frozenset[str]:
        """The categories of a scope this caller may see for its purpose."""
        desk = self.desk
        return rights.allowed_categories(
            desk.tenancy.policy.engine,
            self.principal,
            scope,
            self.ask.purpose,
            action,
            ids.moment(desk.now),
        )

    def sees_any(self, action: str, scope: str) -> bool:
        """Whether there is a category of a scope that this caller may see for its purpose."""
        desk = self.desk
        return rights.allows_any(
            desk.tenancy.policy.engine,
            self.principal,
            scope,
            self.ask.purpose,
            action,
            ids.moment(desk.now),
        )

    @property
    def against(self) -> Against:
        """Whose data this caller may not be given for its purpose, and why. Nothing for almost everybody."""
        if self._against is None:
            purposes = self.desk.tenancy.policy.configuration.purposes.upwards(self.ask.purpose)
            restraints = self.desk.tenancy.restraints
            self._against = () if self.unrestrained else restraints.against(purposes)
        return self._against

    def promise(self, opened: OpenedKey, content: bytes, record: str, version: int, *, nonce: bytes) -> bytes:
        """The commitment, 32 bytes, to a content in the entry of `nonce`.

        Its salt is derivable for as long as the data can be opened, and no longer.
        """
        return commitment(
            opened.opening_salt(nonce, record, version),
            tenant=self.desk.tx.tenant_id,
            decision=self.ask.decision,
            record=record,
            version=version,
            content=content,
        )

    def record(
        self,
        kind: Kind,
        outcome: str,
        *accesses: Access,
        nonce: bytes,
        rules: tuple[str, ...] | None = None,
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        """Put the access on record in this transaction; returns the entry's id."""
        desk = self.desk
        if rules is None:
            rules = tuple(dict.fromkeys(rule for verdict in self.verdicts for rule in verdict.rules))
        if self.principal.lent:  # nothing else says which roles these were
            data = {**named("roles", self.principal.roles), **data}
        draft = EntryDraft(
            kind=kind,
            at=desk.now,
            nonce=nonce,
            principal=self.principal.id,
            on_behalf_of=self.principal.acts_for,
            decision=self.ask.decision,
            policy=desk.tenancy.policy.digest,
            purpose=self.ask.purpose,
            outcome=outcome,
            rules=rules,
            accesses=accesses,
            data=self.principal.marked(data),
        )
        return desk.tx.append(draft)

    def refuse(self, kind: Kind, verdict: Verdict, *accesses: Access, nonce: bytes) -> Denied:
        """Put a denial on record. The caller returns it, so that it is raised after the commit.

        The entry says what was asked, so that it can be asked again: the version that was denied, if there is
        one, says its own labels; a denied write names those that it would have written, a denied event those
        of the rules that begin with it.
        """
        action, scope, labels = self.asked
        data: dict[str, Any] = {"action": action, "scope": scope, **named("roles", self.principal.roles)}
        if kind in (Kind.WRITE, Kind.EVENT):
            data |= named("categories", labels)
        if verdict.reason is Reason.BEYOND:
            data["reason"] = verdict.reason.value
        entry = self.record(kind, "denied", *accesses, nonce=nonce, data=data)
        return Denied(
            f"Policy denies this ({verdict.reason.value}); nothing was read or written.",
            entry=entry,
            rules=verdict.rules,
            remedy=how_to_explain(entry),
        )

    def withhold(self, kind: Kind, why: Restraint, *accesses: Access, nonce: bytes) -> Denied:
        """Put on record that something is kept back which policy allows. The caller returns it, as above.

        Neither the entry nor the answer says who is behind it, nor how many there are.
        """
        action, scope, labels = self.asked
        data = {
            "action": action,
            "scope": scope,
            "reason": why.value,
            **named("roles", self.principal.roles),
            **(named("categories", labels) if kind is Kind.WRITE else {}),
        }
        entry = self.record(kind, "denied", *accesses, nonce=nonce, data=data)
        return Denied(_WITHHELD[why], entry=entry, rule=why.value, remedy=how_to_explain(entry))

    def check_scope(self, scope: str) -> None:
        """Only declared scopes exist."""
        if scope not in self.desk.tenancy.policy.configuration.scopes:
            raise _no_scope()


_WITHHELD = {
    Restraint.RESTRICTED: (
        "The processing of this is restricted: it is kept, and given to nobody; nothing was read or done."
    ),
    Restraint.OBJECTED: ("Somebody whom this is about objects to this purpose; nothing was read or done."),
}


def how_to_explain(entry: str) -> str:
    """What a denied caller can do; it learns nothing more from this (ADR 3)."""
    return f"An administrator or auditor can have it explained: tenure policy explain --entry {entry}"


def check_scope_name(scope: str) -> None:
    """Refuse what cannot be a scope's name before keys are derived from it."""
    if not is_scope(scope):
        raise _no_scope()


def _no_scope() -> NotFound:
    return NotFound(
        "There is no such scope; nothing was done.",
        field="scope",
        rule="a declared Scope manifest",
        remedy="Use a declared scope, or apply a Scope manifest for it first.",
    )


def _no_decision() -> NotFound:
    return NotFound(
        "There is no such decision of yours; nothing was done.",
        field="Tenure-Decision",
        rule="an open decision of the calling principal",
        remedy="Open one with POST /v1/decisions.",
    )


def _check_decision(desk: Desk, ask: Ask, principal: Principal) -> None:
    if ask.decision is None:
        return
    state = desk.found.decisions.get(ask.decision)
    if state is None or state[0] != principal.id:
        raise _no_decision()
    _, purpose, sealed_at = state
    if purpose != ask.purpose:
        raise Invalid(
            "The decision was opened for another purpose; nothing was done.",
            field="Tenure-Purpose",
            rule="the decision's own purpose",
            remedy="Open a decision for this purpose.",
        )
    if sealed_at is not None:
        raise Conflict(
            "The decision is sealed and takes no more accesses; nothing was done.",
            field="Tenure-Decision",
            rule="an open decision",
            remedy="Open a new decision.",
        )
