"""One unit of agent work that reads context and produces an outcome."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as stored. `facts` are administrators' vocabulary: agent, model, input digest."""

    id: str
    principal_id: str
    purpose: str
    subject_id: str | None
    facts: dict[str, str]
    opened_at: int
    sealed_at: int | None
    outcome: str | None
    seal_entry: str | None

    @property
    def sealed(self) -> bool:
        """After sealing a decision takes no more accesses."""
        return self.sealed_at is not None
