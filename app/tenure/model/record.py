"""Records, their versions, and what may be asked of them. Pure: bytes and values, no storage."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

from tenure.errors import Invalid, TooLarge

MAX_KEY = 512
MAX_SUBJECTS = 64
MAX_DEPTH = 64
MAX_METADATA_BYTES = 16 << 10
MAX_DERIVED = 64
MAX_SEGMENTS = 64
MAX_PATHS = 8
MAX_PARTS = 16
MAX_PART = 256
MAX_BEHIND = 1024
"""Most people behind one derived version: each of their keys is mixed into its own."""

_SUBJECT = re.compile(r"[a-z][a-z0-9_-]{0,31}:[^\s\x00-\x1f\x7f]{1,200}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SAFE_INT = 2**53 - 1


class Segment(NamedTuple):
    """A part of a version that is about these people only. `content` is canonical JSON (RFC 8785)."""

    content: bytes
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A version as its writer gives it. `content` is canonical JSON (RFC 8785).

    With `segments` it has neither content nor subjects of its own.
    """

    content: bytes
    subjects: tuple[str, ...]
    categories: tuple[str, ...]
    derived_from: tuple[str, ...] = ()
    expires_at: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    """Where it is filed: found there, and under each beginning of these."""

    @property
    def parts(self) -> tuple[Segment, ...]:
        """What is sealed to people of its own: the segments, or the whole."""
        return self.segments or (Segment(self.content, self.subjects),)

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody it is about, once."""
        return tuple(dict.fromkeys(one for part in self.parts for one in part.subjects))


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer gets back: names no content. A version in segments has a commitment for each instead."""

    record: str
    version: int
    version_id: str
    scope: str
    key: str
    created_at: int
    entry: str
    commitment: str | None
    commitments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A segment as a reader gets it: opened, or what is left of an erased one, or kept back.

    `withheld`: why, where policy allows it and the right of somebody whom it is about does not.
    """

    subjects: tuple[str, ...] = ()
    content: bytes | None = None
    commitment: str | None = None
    erased: bool = False
    certificate: str | None = None
    withheld: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """An opened version: what a permitted reader gets. `content` is canonical JSON, or None if not asked.

    One written in segments has these instead of a content, and a commitment for each.
    """

    record: str
    version: int
    version_id: str
    scope: str
    key: str
    created_at: int
    entry: str
    commitment: str | None
    content: bytes | None
    subjects: tuple[str, ...]
    categories: tuple[str, ...]
    metadata: dict[str, Any]
    derived_from: tuple[str, ...]
    expires_at: int | None
    tier: str = "hot"
    segments: tuple[Shown, ...] = ()
    path: tuple[str, ...] = ()
    """Where it is filed; the first, if it is filed under several."""
    stale_since: int | None = None
    """Since when something that it was derived from is corrected: to be derived again. Microseconds."""


def check_key(key: str) -> None:
    """A record key is 1 to 512 characters of Unicode text without control characters."""
    if not key or len(key) > MAX_KEY:
        raise Invalid(
            f"The record key has {len(key)} characters; nothing was written.",
            field="key",
            rule=f"1 to {MAX_KEY} characters",
            remedy="Use a shorter key, for example an id of your own, and keep the long form in metadata.",
        )
    _check_text(key, "key")


def check_paths(paths: tuple[tuple[str, ...], ...], field_name: str = "path") -> None:
    """A record is filed under at most 8 paths; each has 1 to 16 parts of 1 to 256 characters."""
    if len(paths) > MAX_PATHS:
        raise Invalid(
            "The record is to be filed under too many paths; nothing was done.",
            field=field_name,
            rule=f"at most {MAX_PATHS} paths",
            remedy="File it under fewer; it is found under each beginning of a path, too.",
        )
    for path in paths:
        if not 1 <= len(path) <= MAX_PARTS:
            raise Invalid(
                f"The path has {len(path)} parts; nothing was done.",
                field=field_name,
                rule=f"1 to {MAX_PARTS} parts",
                remedy="Join parts that are never searched apart, or leave the path out.",
            )
        for place, part in enumerate(path):
            if not 1 <= len(part) <= MAX_PART:
                raise Invalid(
                    f"A part of the path has {len(part)} characters; nothing was done.",
                    field=f"{field_name}[{place}]",
                    rule=f"1 to {MAX_PART} characters",
                    remedy="Use a shorter part, for example an id of your own.",
                )
            _check_text(part, f"{field_name}[{place}]")


def check_people(draft: Draft) -> None:
    """A draft's subjects and segments: how many there may be, and that each is a reference."""
    if not draft.segments:
        _check_subjects(draft.subjects, "subjects")
        return
    if draft.content or draft.subjects or len(draft.segments) > MAX_SEGMENTS:
        raise Invalid(
            "A version is one content, or up to 64 segments with people of their own; nothing was written.",
            field="segments",
            rule=f"1 to {MAX_SEGMENTS} segments, and neither content nor subjects beside them",
            remedy="Put what is about everybody into a segment that names everybody.",
        )
    for place, segment in enumerate(draft.segments):
        _check_subjects(segment.subjects, f"segments[{place}].subjects")
        if draft.derived_from and not segment.subjects:
            raise Invalid(
                "A segment names nobody, and its sources may be somebody's; nothing was written.",
                field=f"segments[{place}].subjects",
                rule="in a version with sources each segment names its people",
                remedy="Name the people, or store that part as a derived record of its own.",
            )
    if len(draft.people) > MAX_SUBJECTS:
        raise Invalid(
            "The segments name too many people; nothing was written.",
            field="segments",
            rule=f"at most {MAX_SUBJECTS} different references in all segments",
            remedy="Split a record about more people.",
        )


def _check_subjects(subjects: tuple[str, ...], field_name: str) -> None:
    """Subject references are `kind:identifier`, at most 64, none twice."""
    if len(subjects) > MAX_SUBJECTS or len(set(subjects)) != len(subjects):
        raise Invalid(
            "The list of subjects is too long or names someone twice; nothing was written.",
            field=field_name,
            rule=f"at most {MAX_SUBJECTS} different references",
            remedy="Name each person once; split a record about more people.",
        )
    for place, subject in enumerate(subjects):
        check_subject(subject, f"{field_name}[{place}]")


def check_subject(subject: str, field_name: str = "subject") -> None:
    """One subject reference, for example `customer:42`."""
    _check_text(subject, field_name)
    if not _SUBJECT.fullmatch(subject):
        raise Invalid(
            "A subject reference does not have the form kind:identifier; nothing was done.",
            field=field_name,
            rule="lower-case kind, a colon, 1 to 200 characters without white space",
            remedy="Write it like customer:42.",
        )


def check_json(value: object, field_name: str) -> None:
    """Refuse what canonical JSON cannot carry: deep nesting, big integers, lone surrogates, other types."""
    stack: list[tuple[Collection[Any], int]] = [((value,), 1)]
    while stack:
        items, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise TooLarge(
                "The JSON is nested too deeply; nothing was done.",
                field=field_name,
                rule=f"at most {MAX_DEPTH} levels",
                remedy="Flatten the value, or store its parts as records of their own.",
            )
        for item in items:
            kind = type(item)  # most are leaves like these, and need no closer look
            if (kind is str and item.isascii()) or (kind is int and -SAFE_INT <= item <= SAFE_INT):
                continue
            if inside := _inside(item, field_name):
                stack.append((inside, depth + 1))


def _inside(item: object, field_name: str) -> Collection[Any]:
    """What a JSON value consists of: nothing, unless it is an object or a list. Raises Invalid."""
    if isinstance(item, dict):
        for name in item:
            if type(name) is not str or not name.isascii():
                _check_text(name, field_name, nul=True)
        return item.values()
    if isinstance(item, list | tuple):
        return item
    if isinstance(item, str):
        _check_text(item, field_name, nul=True)
    elif isinstance(item, int):
        if abs(item) > SAFE_INT:
            raise Invalid(
                "An integer is beyond what JSON carries exactly; nothing was done.",
                field=field_name,
                rule="integers within ±(2^53 - 1), RFC 8785 §3.2.2.3",
                remedy="Send the number as a string.",
            )
    elif not (item is None or (isinstance(item, float) and isfinite(item))):
        raise Invalid(
            "A value is none of JSON; nothing was done.",
            field=field_name,
            rule="objects, lists, text, finite numbers, true, false, null (RFC 8259)",
            remedy="Send it as text.",
        )
    return ()


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Metadata is a JSON object of at most 16 KiB."""
    check_json(metadata, "metadata")
    if len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        raise TooLarge(
            "The metadata is too large; nothing was written.",
            field="metadata",
            rule=f"at most {MAX_METADATA_BYTES} bytes",
            remedy="Put it into the content.",
        )


def _check_text(text: object, field_name: str, *, nul: bool = False) -> None:
    if isinstance(text, str) and (text.isascii() if nul else text.isprintable()):
        return  # as almost all is: what is printable has neither
    try:
        bad = not isinstance(text, str) or (bool(text.encode()) and not nul and bool(_CONTROL.search(text)))
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise Invalid(
            "The text has a character that cannot be kept; nothing was done.",
            field=field_name,
            rule="text without control characters and lone surrogates",
            remedy="Remove or escape the character.",
        )
