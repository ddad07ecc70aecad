"""`tenure import jsonl`: each line of a file becomes a record.

    1 read      one line at a time; too long, no UTF-8, no JSON object: refused
    2 label     the mapping says scope, categories, subjects, key, content and metadata
    3 put       only if no record has that key, under an idempotency key made of the file's name, the line's
                number and what is put: a put that was acknowledged to nobody is not made twice
    4 compare   a record with that key is there: fine if its first version is this very line, refused if not
    5 journal   a crash between 3 and 5 leaves a line that is put again, and found at 3 or 4

Nothing is held but the lines that are at work, however long the file is. A dry run keeps digests of keys in
its journal, a file that has no name: so it sees that two lines have one key.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from tenure.client import Client
from tenure.errors import Conflict, Invalid, Malformed, NotFound, Stale, TenureError, TooLarge
from tenure.imports.journal import Journal
from tenure.imports.labels import Labeller, Place
from tenure.imports.mapping import LinesMapping
from tenure.imports.pointer import MISSING, at, steps_of
from tenure.imports.report import Outcome, Report
from tenure.imports.run import Run, Shown, Skipped, Unit
from tenure.imports.template import Template
from tenure.model.record import check_json, check_key, check_metadata

MOST_BYTES: Final = 16 << 20
"""The longest line that is read."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A record as it would be put."""

    place: Place
    key: str
    content: Any
    subjects: tuple[str, ...]
    metadata: dict[str, Any]


def import_lines(
    file: Path,
    mapping: LinesMapping,
    folder: Path,
    journal: Journal,
    client: Client | None,
    report: Report,
    shown: Shown,
    at_once: int,
) -> None:
    """Put every line. `client`: None for a dry run.

    The report is the caller's, who has it even when this is stopped by an error that it raises.
    """
    labeller = Labeller(mapping, folder)
    with _opened(file) as lines:
        run = Run(report, shown, _count(lines), at_once)
        run.each(
            _Line(number, line, file.name, labeller, mapping, journal, client).unit()
            for number, line in _lines(lines)
        )


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    raw: bytes
    file: str
    labeller: Labeller
    mapping: LinesMapping
    journal: Journal
    client: Client | None

    def unit(self) -> Unit:
        """Read and labelled at once, so that two lines of one key are not put together."""
        place = f"line {self.number}"
        there = self.journal.has(*self._mark)
        if there and self.client is not None:
            return Unit(place, lambda: Outcome.THERE)
        try:
            draft = self._draft(_parsed(self.raw))
            if self.client is None:
                outcome = self._foreseen(draft)
                return Unit(place, lambda: Outcome.THERE if there else outcome)
        except (TenureError, Skipped) as refused:
            return Unit(place, (lambda: Outcome.THERE) if there else partial(_raise, refused))
        return Unit(place, partial(self._taken, self.client, draft), (draft.place.scope, draft.key))

    @property
    def _mark(self) -> tuple[str | bytes, ...]:
        return "line", str(self.number), self.raw

    def _taken(self, client: Client, draft: Draft) -> Outcome:
        outcome = self._put(client, draft)
        self.journal.add(*self._mark)
        return outcome

    def _foreseen(self, draft: Draft) -> Outcome:
        """What a dry run can tell of a key: whether a line before has it, and is the same.

        The journal of a dry run is nobody's, and remembers it as digests.
        """
        key = draft.place.scope, draft.key
        told = [draft.content, sorted(set(draft.subjects)), sorted(set(draft.place.categories))]
        what = json.dumps([*told, draft.metadata], sort_keys=True)
        if not self.journal.has("key", *key):
            self.journal.add("key", *key)
            self.journal.add("key of", *key, what)
            return Outcome.WRITTEN
        if not self.journal.has("key of", *key, what):
            raise _another()
        return Outcome.THERE

    def _draft(self, document: dict[str, Any]) -> Draft:
        skipped = self.labeller.skipped(document)
        if skipped is not None:
            raise Skipped(skipped)
        named = {"line": str(self.number)}
        key = Template.parse(self.mapping.key).filled(document, named, "key")
        check_key(key)
        content = at(document, steps_of(self.mapping.content))
        if content is MISSING:
            raise Invalid(
                "The line has no content where the mapping looks for it.",
                field="content",
                rule="it is there",
                remedy="Correct the mapping, or skip what lacks it.",
            )
        check_json(content, "content")
        found = {name: at(document, steps_of(one)) for name, one in self.mapping.metadata.items()}
        metadata = {name: value for name, value in found.items() if value is not MISSING}
        check_metadata(metadata)
        return Draft(
            self.labeller.place(document), key, content, self.labeller.subjects([document]), metadata
        )

    def _put(self, client: Client, draft: Draft) -> Outcome:
        whole = [draft.place.scope, draft.place.categories, draft.key, draft.content, draft.subjects]
        what = json.dumps([*whole, draft.metadata, self.mapping.purpose], sort_keys=True)
        try:
            client.put(
                draft.place.scope,
                draft.key,
                draft.content,
                subjects=draft.subjects,
                categories=draft.place.categories,
                metadata=draft.metadata,
                if_absent=True,
                idempotency_key=self.journal.digest("put", self.file, str(self.number), what),
            )
        except Stale:
            _compare(client, draft)
            return Outcome.THERE
        return Outcome.WRITTEN


def _raise(failure: Exception) -> Outcome:
    raise failure


def _compare(client: Client, draft: Draft) -> None:
    """A record has that key. Raises Conflict unless its first version is what would be put."""
    try:
        there = client.get(draft.place.scope, draft.key, version=1)
    except NotFound:
        there = None
    if (
        there is None
        or there.content != draft.content
        or set(there.subjects) != set(draft.subjects)
        or set(there.categories) != set(draft.place.categories)
        or dict(there.metadata) != draft.metadata
    ):
        raise _another()


def _another() -> Conflict:
    return Conflict(
        "A record with that key is there already, and it is another; nothing was written.",
        field="key",
        rule="a key of its own for each line",
        remedy="Make keys of more fields, or of {line}.",
    )


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError:
        raise Invalid(
            "The file cannot be read. Nothing was imported.",
            field="FILE",
            rule="a file of JSON objects, one a line",
            remedy="Correct the path.",
        ) from None


def _count(lines: BinaryIO) -> int:
    """How many lines there are, for the progress bar."""
    count = sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))
    lines.seek(0)
    return count


def _lines(lines: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line) of each that is not blank. Of a line that is too long the beginning comes."""
    number = 0
    while line := lines.readline(MOST_BYTES + 1):
        number += 1
        part = line
        while len(part) > MOST_BYTES and not part.endswith(b"\n"):
            part = lines.readline(MOST_BYTES + 1)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > MOST_BYTES:
        raise TooLarge(
            "The line is too long.",
            field="line",
            rule=f"at most {MOST_BYTES} bytes",
            remedy="Split what it holds over several lines.",
        )
    try:
        # What JSON cannot say (RFC 8259 §6) must not become something else on the way.
        document = json.loads(
            raw.decode(), parse_constant=_refused, parse_float=_finite, object_pairs_hook=_once
        )
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Malformed(
            "The line is no JSON object.",
            field="line",
            rule="one JSON object a line, in UTF-8, no member twice",
            remedy="Correct the line.",
        )
    return document


def _refused(constant: str) -> float:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found
