"""What an offline check found: failures by frozen name, and what it could not look at."""

from dataclasses import dataclass

from tenure.errors import Unverified


@dataclass(frozen=True, slots=True)
class Failure:
    """One check that failed. `check` is a name from the table in docs/spec/ledger.md."""

    check: str
    detail: str
    index: int | None = None
    """The entry concerned, where there is one."""

    @classmethod
    def of(cls, error: Unverified, index: int | None = None) -> "Failure":
        """The same as a raised error says."""
        return cls(error.check, error.detail, index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of an offline check. An empty report is not a success: `failures` decides."""

    failures: tuple[Failure, ...]
    not_checked: tuple[str, ...]
    """Sentences: what a reader must not conclude from this check."""
    signers: tuple[str, ...] = ()
    """Names of the keys whose signatures hold."""
    rotations: tuple[str, ...] = ()
    """Changes of the log's key, followed from one that was given."""

    @property
    def ok(self) -> bool:
        """True when nothing failed."""
        return not self.failures
