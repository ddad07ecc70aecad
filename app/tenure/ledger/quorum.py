"""Which witnesses a log asks, and how many must have cosigned: a small JSON document.

    {"quorum": 2, "witnesses": [{"url": "https://witness.example/w1", "vkey": "witness.example/w1+…"}]}

With `"logs": "cell"` only the cell's own log is offered to them: it holds every tenant's checkpoints.

C2SP tlog-policy has the same three things in another form, but no released version yet.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from tenure.errors import Invalid, Malformed
from tenure.ledger.cosignature import cosigned_by
from tenure.ledger.note import COSIGNATURE, Verifier
from tenure.ledger.report import Failure

MOST = 32
_LOGS = ("all", "cell")


class Witness(NamedTuple):
    """One witness: its submission prefix (URL without a final slash) and key."""

    url: str
    key: Verifier


class Quorum(NamedTuple):
    """`needed` of these witnesses make a checkpoint complete; 0 asks all and needs none."""

    needed: int
    witnesses: tuple[Witness, ...]
    logs: Literal["all", "cell"] = "all"

    @property
    def keys(self) -> tuple[Verifier, ...]:
        """The witnesses' keys."""
        return tuple(witness.key for witness in self.witnesses)

    def watches(self, *, is_cell: bool) -> bool:
        """Whether the witnesses are asked for the cell's own log, or for a tenant's."""
        return is_cell or self.logs == "all"

    def missing(self, note: str) -> tuple[Witness, ...]:
        """The witnesses whose cosignature the checkpoint has not."""
        there = cosigned_by(note, self.keys)
        return tuple(witness for witness in self.witnesses if witness.key not in there)

    def is_met(self, note: str) -> bool:
        """Whether enough have cosigned."""
        return len(self.witnesses) - len(self.missing(note)) >= self.needed

    @classmethod
    def parse(cls, text: str) -> "Quorum":
        """Read the document. Raises `Invalid` naming the member."""
        try:
            document = json.loads(text)
        except ValueError:
            raise _wrong("", "is not JSON") from None
        if type(document) is not dict or document.keys() - {"logs"} != {"quorum", "witnesses"}:
            raise _wrong("", "has the members quorum and witnesses, may have logs, and has no others")
        logs = document.get("logs", "all")
        if logs not in _LOGS:
            raise _wrong("logs", "is all or cell")
        listed, needed = document["witnesses"], document["quorum"]
        if type(listed) is not list or not 0 < len(listed) <= MOST:
            raise _wrong("witnesses", f"is a list of 1 to {MOST}")
        if type(needed) is not int or not 0 <= needed <= len(listed):
            raise _wrong("quorum", "is an integer, at most the number of witnesses")
        witnesses = tuple(_witness(one, f"witnesses[{n}]") for n, one in enumerate(listed))
        distinct([witness.key for witness in witnesses])
        return cls(needed, witnesses, logs)


def distinct(keys: Sequence[Verifier]) -> None:
    """Raises `Invalid` when one public key is there twice: a witness counts once, under whatever names."""
    if len({key.public for key in keys}) != len(keys):
        raise Invalid(
            "One witness's key is given twice. Nothing was done. Give each witness once.",
            field="witnesses",
            rule="distinct-witnesses",
        )


def shortfall(needed: int, witnesses: Sequence[str]) -> Failure | None:
    """The failure "quorum" when fewer witnesses than needed cosigned; names count once."""
    there = len(set(witnesses))
    if there >= needed:
        return None
    return Failure("quorum", f"{needed} witnesses must have cosigned the checkpoint; {there} did.")


def witness_key(vkey: str, field: str) -> Verifier:
    """A witness's key. Raises `Malformed` when it is a log's, which signs other texts."""
    key = Verifier.parse(vkey)
    if key.algorithm != COSIGNATURE:
        raise Malformed(
            f"{field} is no witness's key (type 04). Nothing was done. Give the key that the witness's"
            " operator publishes; `tenure witness init` prints it.",
            field=field,
            rule="witness-key",
        )
    return key


def _witness(one: Any, field: str) -> Witness:  # noqa: ANN401 - any JSON
    if (
        type(one) is not dict
        or one.keys() != {"url", "vkey"}
        or not all(type(v) is str for v in one.values())
    ):
        raise _wrong(field, "has the members url and vkey, both text")
    if not one["url"].startswith(("https://", "http://")):
        raise _wrong(f"{field}.url", "begins with https:// or http://")
    return Witness(one["url"].rstrip("/"), witness_key(one["vkey"], f"{field}.vkey"))


def _wrong(field: str, rule: str) -> Invalid:
    return Invalid(
        f"The witness file cannot be used: {field or 'it'} {rule}. Nothing was done. See docs/witness.md.",
        field=field or "witnesses",
        rule="witness-file",
    )
