"""What a rights request holds of the person, sealed under a leaf of its own: who asks, and in which words.

It is apart from the person's own leaf: the case outlives an erasure, so that recipients can be told of it and
the controller can show what was asked. It has its own term; then its leaf is destroyed (`rights.purging`).
"""

import json
from typing import Any, NamedTuple

from tenure.errors import Erased, Shredded
from tenure.keyring import TenantKeyring
from tenure.keys.seal import Binding
from tenure.model.rightsrequest import RightsRequest
from tenure.sealing import Note, open_note, seal_note
from tenure.store.rights import Kept

SCOPE = "tenure.requests"
CASES = "tenure.cases"
"""The scope of what a case says of the person: apart, so that whoever may see clocks sees no names."""
_SEALED = 0


class Correction(NamedTuple):
    """What a record is to say from now on: any JSON."""

    scope: str
    key: str
    content: Any


class Case(NamedTuple):
    """Who asks, by the reference under which applications know them, and what for."""

    reference: str
    details: str | None = None
    purposes: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()
    notes: tuple[str, ...] = ()
    """What those who handled it wrote down, in order."""

    def text(self) -> str:
        """As it is sealed."""
        return json.dumps(self._asdict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> "Case":
        """What was sealed."""
        found = json.loads(text)
        corrections = tuple(Correction(*one) for one in found["corrections"])
        return cls(
            found["reference"],
            found["details"],
            tuple(found["purposes"]),
            corrections,
            tuple(found["notes"]),
        )


def sealed(keys: TenantKeyring, request_id: str, leaf: int, case: Case) -> Note:
    """The case, for its row."""
    return seal_note(keys, _binding(keys, request_id), leaf, case.text())


def opened(keys: TenantKeyring, request: RightsRequest | Kept) -> Case:
    """The case. Erased once its term is over, Tampered when it is not as sealed."""
    if request.header is None or request.sealed is None:
        raise _over()
    try:
        text = open_note(keys, _binding(keys, request.id), Note(request.header, request.sealed))
    except Shredded:
        raise _over() from None
    return Case.parse(text)


def _over() -> Erased:
    return Erased("This case has had its time: who asked, and in which words, is erased.")


def _binding(keys: TenantKeyring, request_id: str) -> Binding:
    return Binding(keys.tenant_id, SCOPE, request_id, _SEALED)
