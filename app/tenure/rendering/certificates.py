"""A signed certificate as a paper: every member of it, those that this build knows under their headings.

A page is no proof. It says what the envelope says, carries the envelope, and says how to verify that.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tenure.errors import Unverified
from tenure.ledger.canonical import canonical
from tenure.ledger.dsse import payload_unverified
from tenure.rendering.paper import Attachment, Facts, Paper, Section, Sentences, Text
from tenure.rendering.values import Json, blocks, facts

TITLES: Final = {
    "erasure-certificate": "Certificate of erasure",
    "request-certificate": "Certificate of a rights request",
}
"""By `kind`. One that is not here is "Certificate"."""

NAMES: Final = {
    "id": "Certificate",
    "v": "Version of the form",
    "entry": "Entry of the ledger",
    "origin": "Ledger that signed",
    "issued_at": "Issued",
    "request": "Rights request",
    "type": "What was asked for",
    "regime": "Under which law",
    "received_at": "Received",
    "due_at": "Due",
    "held": "What is held",
    "completed_at": "Answered",
    "shred": "Erasure",
    "subject": "Data subject (a random id)",
    "irrecoverable_at": "Beyond recovery, in backups too, from",
    "provider": "Root store",
    "guarantee": "What its destruction means, in its own words",
    "root_versions_destroyed": "Root keys that were destroyed",
    "unusable_at": "Unusable from",
    "evidence": "Evidence of the root store",
    "sha256": "SHA-256",
    "read_back": "What was read back after the purge",
    "searched_for_values": "Search for given values",
    "at": "When (UTC)",
    "what": "What was kept",
    "versions_kept_for_holds": "Versions kept under a legal hold",
    "sent": "Delivered",
    "dead": "Not delivered",
}
"""Members in other words than their own."""


class _Heading(NamedTuple):
    name: str
    title: str
    members: tuple[str, ...]
    empty: str = ""
    """What is said where the certificate has none of the members; nothing: the heading is left out."""


_FIRST: Final = (
    _Heading(
        "asked",
        "What was asked",
        (
            "request",
            "type",
            "regime",
            "received_at",
            "due_at",
            "shred",
            "subject",
            "cohort",
            "tenant",
            "held",
        ),
    ),
    _Heading("outcome", "What came of it", ("outcome", "completed_at", "irrecoverable_at")),
    _Heading("steps", "What was done, step by step", ("steps",)),
    _Heading("done", "What came of each step", ("done",)),
    _Heading("keys", "Keys that were destroyed", ("keys",)),
    _Heading("stores", "Where it was stored", ("stores",)),
    _Heading("residue", "What was left (residue)", ("residue",)),
    _Heading("derived", "What was derived from it", ("derived",)),
    _Heading(
        "exceptions",
        "Holds and exceptions: what was kept, and on what ground",
        ("exceptions", "holds", "retention"),
        "The certificate names none.",
    ),
    _Heading("erasure", "The erasure that belongs to it", ("erasure",)),
    _Heading("notices", "Notices to recipients (Art. 19 GDPR)", ("notices",)),
    _Heading("package", "The package for the person", ("package",)),
    _Heading("handed-over", "Ledgers that were handed over", ("ledger_handed_over",)),
)
_ABOUT: Final = ("id", "kind", "v", "origin", "issued_at", "entry")
_LAST: Final = (
    _Heading("proves", "What this proves", ("proves",), "The certificate names nothing."),
    _Heading(
        "does-not-prove", "What this does not prove", ("does_not_prove",), "The certificate names nothing."
    ),
)


class Envelope(NamedTuple):
    """An envelope that was read and not verified: its canonical text, and what its payload says."""

    text: str
    payload_type: str
    payload: dict[str, Json]

    @property
    def sha256(self) -> str:
        """Of the canonical text, which is what was signed and is served: hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_envelope(text: str) -> Envelope:
    """A DSSE envelope with a JSON object in it. Unverified("envelope-format") for anything else."""
    payload = payload_unverified(text)
    try:
        envelope = json.loads(text)
        found: Any = json.loads(payload)
        whole = canonical(envelope).decode()
    except (ValueError, RecursionError) as failure:
        raise Unverified("envelope-format", "The envelope does not hold JSON.") from failure
    if not isinstance(found, dict):
        raise Unverified("envelope-format", "The envelope does not hold a JSON object.")
    return Envelope(whole, str(envelope["payloadType"]), found)


def certificate_paper(text: str) -> Paper:
    """A certificate's envelope as a paper. Nothing is verified; Unverified for what is no envelope."""
    envelope = read_envelope(text)
    said = envelope.payload
    headings = [_section(heading, said) for heading in _FIRST]
    known = {member for heading in (*_FIRST, *_LAST) for member in heading.members} | set(_ABOUT)
    more = {name: part for name, part in said.items() if name not in known}
    if more:
        headings.append(Section("more", "What else it says", blocks(more, NAMES)))
    headings += [_section(heading, said) for heading in _LAST]
    about: dict[str, Json] = {name: said[name] for name in _ABOUT if name in said}
    headings.append(Section("about", "This certificate", (Facts(facts(about, NAMES)),) if about else ()))
    headings.append(_verification(envelope))
    return Paper(
        title=TITLES.get(str(said.get("kind")), "Certificate"),
        lead="It names no person: who it is about is said by the case that it belongs to. "
        "This is a reading copy. What counts is the signed envelope that it carries.",
        made_at=str(said.get("issued_at", "")),
        sections=tuple(one for one in headings if one is not None and one.blocks),
        attachment=Attachment(
            "certificate.json", envelope.text, "The signed envelope (DSSE), exactly as it was issued."
        ),
    )


def _section(heading: _Heading, said: Mapping[str, Json]) -> Section | None:
    members = {name: said[name] for name in heading.members if name in said}
    if not members:
        return Section(heading.name, heading.title, (Text(heading.empty),)) if heading.empty else None
    if len(heading.members) == 1:
        return Section(heading.name, heading.title, blocks(next(iter(members.values())), NAMES))
    return Section(heading.name, heading.title, blocks(members, NAMES))


def _verification(envelope: Envelope) -> Section:
    return Section(
        "verify",
        "How to verify it, without asking us",
        (
            Text(
                "Take the log's verifier key from an auditor, not from this paper. Install the client from a"
                " copy of Tenure's repository (it is not on a package index), and verify the page, or"
                " the file certificate.json that the PDF carries. No network is needed."
            ),
            Text(
                "pip install .\ntenure verify certificate.html --vkey KEY\n"
                "tenure verify certificate.json --vkey KEY",
                literal=True,
            ),
            Sentences(
                (
                    "That checks the envelope, not what a page shows, which who sent it may have changed.",
                    "To compare, make it anew from the envelope: tenure certificate FILE --html NEW.html",
                    "The envelope is DSSE with Ed25519: other tools can check it, too.",
                )
            ),
            Facts(
                (("SHA-256 of the envelope", envelope.sha256), ("Type of its payload", envelope.payload_type))
            ),
        ),
    )
