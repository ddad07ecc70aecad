"""Decisions, as both clients have them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Final, Self, TypedDict
from urllib.parse import quote

from tenure.client.calls import Calls
from tenure.client.operation import Work, operation
from tenure.client.results import Decided, Json, Opened, Sealed, Seen
from tenure.client.steps import Pause
from tenure.errors import NotYet

_LOOK_S: Final = 0.2


class Nothing(Enum):
    """That nothing was given, where None is something."""

    NOTHING = "nothing"


class About(TypedDict, total=False):
    """What a decision is about: the arguments of `open_decision`."""

    purpose: str | None
    subject: str | None
    agent: str | None
    model: str | None
    input_sha256: str | None


class Decisions(Calls):
    """Open, seal, look at, prove. `decision` of the clients puts the first two around a block."""

    @operation
    def open_decision(
        self,
        *,
        purpose: str | None = None,
        subject: str | None = None,
        agent: str | None = None,
        model: str | None = None,
        input_sha256: str | None = None,
    ) -> Work[Opened]:
        """Open a decision for a purpose, the client's unless one is given, about somebody or nobody.

        `agent` and `model` name what decides; `input_sha256` is of the prompt, in hexadecimal. Not repeated
        by itself after an answer that was lost. Raises Denied, NotFound, Invalid.
        """
        given = {
            "purpose": purpose or self.bound.purpose,
            "subject": subject,
            "agent": agent,
            "model": model,
            "input_sha256": input_sha256,
        }
        body = {name: value for name, value in given.items() if value is not None}
        answer = yield from self._asked("POST", "/v1/decisions", body)
        return Opened.of(answer)

    def within(self, decision: str) -> Self:
        """The same client, whose reads and writes belong to an open decision."""
        return self._with(replace(self.bound, decision=decision))

    @operation
    def seal_decision(
        self,
        decision: str,
        outcome: str,
        *,
        output: Json | Nothing = Nothing.NOTHING,
        output_sha256: str | None = None,
    ) -> Work[Sealed]:
        """Close a decision: it takes no more accesses. `outcome` is a code of yours, such as `approved`.

        Of `output`, any JSON, only the SHA-256 is kept. Raises Conflict when it is sealed already, NotFound.
        """
        body: dict[str, Json] = {"outcome": outcome}
        if output is not Nothing.NOTHING:
            body["output"] = output
        if output_sha256 is not None:
            body["output_sha256"] = output_sha256
        answer = yield from self._asked("POST", f"{_path(decision)}:seal", body)
        return Sealed.of(answer)

    @operation
    def get_decision(self, decision: str) -> Work[Decided]:
        """What it is and what it read, without content. Raises NotFound."""
        return Decided.of((yield from self._asked("GET", _path(decision), repeats=True)))

    @operation
    def context(self, decision: str) -> Work[Seen]:
        """The exact content that it saw, as far as this caller may see it. Itself a recorded access."""
        return Seen.of((yield from self._asked("GET", f"{_path(decision)}/context", repeats=True)))

    @operation
    def openings(self, decision: str, *, records: Sequence[str] = ()) -> Work[Seen]:
        """Salts and contents behind its commitments, for whoever verifies its receipt. Itself recorded."""
        path = f"{_path(decision)}/openings"
        if records:
            path += "?" + "&".join(f"record={quote(one, safe='')}" for one in records)
        return Seen.of((yield from self._asked("GET", path, repeats=True)))

    @operation
    def receipt(self, decision: str, *, wait_s: float = 10.0) -> Work[str]:
        """The receipt of a sealed decision (C2SP tlog-proof): `tenure verify` checks it without a service.

        Waits up to `wait_s` seconds until the ledger has published it. Raises NotYet after that, Conflict
        while the decision is open, NotFound.
        """
        left = wait_s
        while True:
            try:
                return str((yield from self._asked("GET", f"{_path(decision)}/receipt", repeats=True)))
            except NotYet:
                if left <= 0:
                    raise
                pause = min(_LOOK_S, left)
                left -= pause
                yield Pause(pause)


def digest(text: str) -> str:
    """What `input_sha256` and `output_sha256` take of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _path(decision: str) -> str:
    return f"/v1/decisions/{quote(decision, safe='')}"
