"""Which keys a check trusts, and where they came from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tenure.errors import Invalid
from tenure.ledger.keychain import followed, lineage
from tenure.ledger.note import COSIGNATURE, Verifier
from tenure.ledger.quorum import distinct, shortfall, witness_key
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
    quorum: int = 0
    """How many of the witnesses must have cosigned."""
    rotations: tuple[str, ...] = ()
    """Changes of a log's key that were followed."""

    def watched(self, witnesses: Sequence[str], quorum: int) -> "Trust":
        """The same with witnesses' keys (`KEY` or `@file`). Without a quorum given, none need have signed.

        Raises `Invalid` for a key that is not a witness's or given twice, or a quorum beyond their number.
        """
        more = tuple(witness_key(line, "witness") for value in witnesses for line in _lines(value))
        keys = tuple(dict.fromkeys((*self.verifiers, *more)))
        cosigners = [key for key in keys if key.algorithm == COSIGNATURE]
        distinct(cosigners)
        if quorum > len({key.name for key in cosigners}):
            raise Invalid(
                "The quorum is larger than the number of witnesses given, so nothing could meet it. Nothing"
                " was checked. Give their keys with --witness.",
                field="quorum",
                rule="quorum",
            )
        return replace(self, verifiers=keys, quorum=quorum)

    def following(self, chains: Sequence[Path]) -> "Trust":
        """The same with the keys that chains of changes lead to (a log's file `rotations`).

        Raises `Invalid` for a file that cannot be read, `Unverified` for a chain that does not hold.
        """
        try:
            texts = [path.read_bytes().decode("utf-8", "replace") for path in chains]
        except OSError as failure:
            raise Invalid(
                "The chain of key changes cannot be read. Nothing was checked.", field="chain", rule="source"
            ) from failure
        return replace(self, verifiers=followed(texts, self.verifiers))

    def in_force(self, chain: str) -> "Trust":
        """The same for what a log signs now: keys that its chain of changes shows as replaced do not count.

        `chain` is the text of `rotations`. Raises `Unverified` for a chain that does not hold.
        """
        found = lineage(chain, self.verifiers)
        sentences = tuple(step.sentence for step in found.followed)
        return replace(self, verifiers=found.in_force, rotations=(*self.rotations, *sentences))

    def judge(self, report: AnyReport, witnesses: Sequence[str]) -> AnyReport:
        """The report, failing as "quorum" when too few of the witnesses cosigned."""
        failure = shortfall(self.quorum, witnesses)
        return self.qualify(replace(report, failures=(*report.failures, failure)) if failure else report)

    def qualify(self, report: AnyReport) -> AnyReport:
        """The report, with the changes of key that were followed, and saying when no key was checked."""
        if self.rotations:
            report = replace(report, rotations=(*self.rotations, *report.rotations))
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
