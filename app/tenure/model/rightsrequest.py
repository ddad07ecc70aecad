"""A rights request: what a data subject asked for, as a row, and which step may follow which. Pure.

    received ─identify─► scoping ─scope─► approval ─approve─► cooling-off ─the clock─► executing
        ─► verifying ─► notifying ─► completed | partial

    from any state before executing: refused (on a ground of the law), withdrawn (by the person)

The clock is apart from the state (`model.deadlines`): pausing stops it, and while it is paused nothing is
scoped, approved or executed: who can go on has no reason for a pause. What the person said and who they are
is sealed under a leaf of the request's own.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

DAY_US: Final = 86_400_000_000


class Kind(StrEnum):
    """What is asked for: rights of the GDPR, and those of the CCPA by its own names."""

    ACCESS = "access"
    """Art. 15."""
    RECTIFICATION = "rectification"
    """Art. 16."""
    ERASURE = "erasure"
    """Art. 17."""
    RESTRICTION = "restriction"
    """Art. 18."""
    PORTABILITY = "portability"
    """Art. 20."""
    OBJECTION = "objection"
    """Art. 21."""
    DECISION_REVIEW = "decision-review"
    """Art. 22(3)."""
    CONSENT_WITHDRAWAL = "consent-withdrawal"
    """Art. 7(3)."""
    KNOW = "know"
    """Cal. Civ. Code § 1798.110."""
    CORRECT = "correct"
    """§ 1798.106."""
    DELETE = "delete"
    """§ 1798.105."""
    OPT_OUT = "opt-out"
    """§ 1798.120."""

    @property
    def right(self) -> "Kind":
        """The right of the GDPR that is carried out in the same way."""
        return _SAME.get(self, self)

    @property
    def is_ccpa(self) -> bool:
        """Whether it is a right of the CCPA, with that law's clock."""
        return self in _SAME

    @property
    def needs_purposes(self) -> bool:
        """Whether it is about processing for given purposes."""
        return self.right in (Kind.OBJECTION, Kind.CONSENT_WITHDRAWAL)


_SAME: Final = {
    Kind.KNOW: Kind.ACCESS,
    Kind.CORRECT: Kind.RECTIFICATION,
    Kind.DELETE: Kind.ERASURE,
    Kind.OPT_OUT: Kind.OBJECTION,
}


class State(StrEnum):
    """How far a request is."""

    RECEIVED = "received"
    """Waits until it is known who asks: Art. 12(6)."""
    SCOPING = "scoping"
    """Waits for the dry run: what is held, what would happen."""
    APPROVAL = "approval"
    """Waits for a second person."""
    COOLING_OFF = "cooling-off"
    """Approved; can be withdrawn until its time."""
    EXECUTING = "executing"
    VERIFYING = "verifying"
    NOTIFYING = "notifying"
    COMPLETED = "completed"
    PARTIAL = "partial"
    """Carried out, but for what the law keeps: the certificate names it."""
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


CLOSED: Final = frozenset({State.COMPLETED, State.PARTIAL, State.REFUSED, State.WITHDRAWN})
UNDECIDED: Final = frozenset({State.RECEIVED, State.SCOPING, State.APPROVAL})
"""Before anybody approved it."""
STOPPABLE: Final = UNDECIDED | {State.COOLING_OFF}
"""What can be refused or withdrawn: nothing was done yet."""
RUNNING: Final = frozenset({State.COOLING_OFF, State.EXECUTING, State.VERIFYING, State.NOTIFYING})
"""What goes on by itself."""


class Method(StrEnum):
    """How it was established who asks."""

    LOGIN = "login"
    """They asked from within an account of theirs."""
    DOCUMENT = "document"
    IN_PERSON = "in-person"
    KNOWLEDGE = "knowledge"
    """They knew what only they know."""
    AGENT = "authorised-agent"
    """Somebody with their power of attorney."""


class Ground(StrEnum):
    """On which a request is refused, or something is kept: Art. 12(5), 11(2), 17(3), and their like."""

    UNFOUNDED = "12.5-manifestly-unfounded"
    EXCESSIVE = "12.5-excessive"
    NOT_IDENTIFIED = "11.2-not-identified"
    OTHERS = "15.4-rights-of-others"
    EXPRESSION = "17.3.a-freedom-of-expression"
    OBLIGATION = "17.3.b-legal-obligation"
    HEALTH = "17.3.c-public-health"
    ARCHIVING = "17.3.d-archiving-or-research"
    CLAIMS = "17.3.e-legal-claims"
    COMPELLING = "21.1-compelling-grounds"


ERASURE_GROUNDS: Final = frozenset(
    {Ground.EXPRESSION, Ground.OBLIGATION, Ground.HEALTH, Ground.ARCHIVING, Ground.CLAIMS}
)
"""Only of what an erasure would take."""


def fits(ground: Ground, kind: Kind) -> bool:
    """Whether a request of this kind may be refused on this ground."""
    if ground in ERASURE_GROUNDS:
        return kind.right is Kind.ERASURE
    if ground is Ground.OTHERS:
        return kind.right in (Kind.ACCESS, Kind.PORTABILITY)
    if ground is Ground.COMPELLING:
        return kind.right is Kind.OBJECTION
    return True


class Conclusion(StrEnum):
    """An officer's word on what a request waits for."""

    ACCEPTED = "accepted"
    SEARCH_AGAIN = "search-again"
    UPHELD = "upheld"
    CHANGED = "changed"
    ANNULLED = "annulled"


CONCLUSIONS: Final[Mapping[str, Mapping[Conclusion, str]]] = {
    "residue": {
        Conclusion.ACCEPTED: "what was found stays, and the certificate says so",
        Conclusion.SEARCH_AGAIN: "it was put right, and everything is searched anew",
    },
    "review": {
        Conclusion.UPHELD: "the decision stands",
        Conclusion.CHANGED: "another took its place",
        Conclusion.ANNULLED: "it does not hold any more",
    },
}
"""What each step that waits for an officer takes for an answer, and what that means."""


class RightsRequest(NamedTuple):
    """A row. Instants in microseconds; `opened_by` and `decided_by` are ids of principals.

    `leaf` opens `sealed` (`header`): who asks, and in which words. `clock`, `timeline`, `scope`, `progress`
    are JSON: pauses and extension; what was done when and by whom; what the dry run found; what each step of
    the execution did. None of them says anything of the person but opaque ids.
    """

    id: str
    kind: str
    state: str
    subject_id: str | None
    opened_by: str
    opened_at: int
    received_at: int
    due_at: int
    clock: str
    timeline: str
    leaf: int
    header: bytes | None
    sealed: bytes | None
    scope: str | None = None
    progress: str = "{}"
    decided_by: str | None = None
    decided_at: int | None = None
    execute_at: int | None = None
    closed_at: int | None = None
    ground: str | None = None
    certificate_id: str | None = None
    envelope: str | None = None

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its timeline: `{"at","step","by",…}`, oldest first."""
        return list(json.loads(self.timeline))

    @property
    def told(self) -> set[str]:
        """Steps since its clock moved last: a reminder of an earlier deadline is none of this one."""
        found: set[str] = set()
        for line in self.lines:
            found = set() if line["step"] in ("extended", "resumed") else found | {line["step"]}
        return found

    @property
    def step(self) -> int:
        """How many steps it has taken: 1 once it is received."""
        return len(self.lines)

    @property
    def steps(self) -> dict[str, Any]:
        """What each step of the execution did so far, by its name."""
        return dict(json.loads(self.progress))

    @property
    def dry_run(self) -> dict[str, Any]:
        """What the dry run found; empty before it."""
        return {} if self.scope is None else dict(json.loads(self.scope))

    @property
    def is_paused(self) -> bool:
        """Whether its clock stands still."""
        pauses = json.loads(self.clock)["pauses"]
        return bool(pauses) and pauses[-1][1] is None

    def moved(self, step: str, *, at: str, by: str | None, **changes: Any) -> Self:  # noqa: ANN401 - columns
        """After a step, which stands in its timeline: `at` in RFC 3339, `by` a principal, None the service.

        Members `said` of the changes go into the timeline with the step.
        """
        said = changes.pop("said", {})
        line = {"at": at, "step": step, "by": by, **said}
        return self._replace(timeline=json.dumps([*self.lines, line]), **changes)

    def without(self, step: str) -> Self:
        """Without what is said under that name in its progress."""
        return self._replace(
            progress=json.dumps({name: found for name, found in self.steps.items() if name != step})
        )

    def progressed(self, step: str, found: dict[str, Any]) -> Self:
        """With what a step of the execution did."""
        return self._replace(progress=json.dumps({**self.steps, step: found}))
