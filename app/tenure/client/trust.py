"""Which keys a check trusts, and where they came from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tenure.errors import Invalid
from tenure.ledger.note import Verifier
from tenure.ledger.report import Report

_SAME_PLACE = (
    "The key: it came from the same place as what it verifies (trust on first use). Compare it with the"
    " operator once by another way, then give it with --vkey."
)

AnyReport = TypeVar("AnyReport", bound=Report)


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys to trust; `given` is False when they came from beside what they verify."""

    verifiers: tuple[Verifier, ...]
    given: bool

    def qualify(self, report: AnyReport) -> AnyReport:
        """The report, saying so when the key itself was not checked."""
        if self.given:
            return report
        return replace(report, not_checked=(_SAME_PLACE, *report.not_checked))


def trust(given: Sequence[str], beside: Iterable[str | None] = ()) -> Trust:
    """Keys as given (`KEY` or `@file`, one key a line), else the first found beside what is checked.

    Raises `Invalid` when there is none, a file cannot be read, or a text is no key.
    """
    if given:
        return Trust(tuple(Verifier.parse(line) for value in given for line in _lines(value)), given=True)
    for found in beside:
        if found:
            return Trust(tuple(Verifier.parse(line) for line in _split(found)), given=False)
    raise Invalid(
        "No verifier key was given and none was found beside what is to be checked. Nothing was checked."
        " Give the log's key with --vkey.",
        field="vkey",
        rule="vkey",
    )


def key_beside(path: Path) -> Iterable[str | None]:
    """Keys saved beside a file: `<file>.vkey`, then `vkey` in its folder."""
    for candidate in (path.with_name(path.name + ".vkey"), path.with_name("vkey")):
        yield candidate.read_text("utf-8") if candidate.is_file() else None


def _lines(value: str) -> list[str]:
    if not value.startswith("@"):
        return [value]
    try:
        return _split(Path(value[1:]).read_text("utf-8"))
    except (OSError, ValueError) as failure:
        raise Invalid(
            "The file with the verifier key cannot be read. Nothing was checked.", field="vkey", rule="vkey"
        ) from failure


def _split(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]
