"""What callers send about rights requests. In bodies: references are personal data, and URLs end in logs."""

from typing import Annotated, Any

from pydantic import Field

from tenure.http.wire import Body, Past, Reference, Text
from tenure.model.deadlines import ExtensionReason, PauseReason
from tenure.model.record import MAX_KEY
from tenure.model.rightsrequest import Ground, Kind, Method
from tenure.rights.receiving import MAX_CORRECTIONS, MAX_TEXT

Said = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class NewCorrection(Body):
    """What a record is to say from now on."""

    scope: Annotated[str, Field(max_length=200)]
    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
    content: Any


class NewRightsRequest(Body):
    """What somebody asked for: who, by the reference under which they are known here, and in which words.

    Reference, details and corrections are sealed. `received_at`: now if left out. `purposes` only with
    objection, consent-withdrawal and opt-out; `corrections` only with rectification and correct.
    """

    type: Kind
    reference: Reference
    received_at: Past | None = None
    details: Said | None = None
    purposes: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    corrections: Annotated[tuple[NewCorrection, ...], Field(max_length=MAX_CORRECTIONS)] = ()


class Identification(Body):
    """How it was established who asks."""

    method: Method


class RequestRefusal(Body):
    """On which ground of the law."""

    ground: Ground


class PauseClock(Body):
    """Why the clock stands still."""

    reason: PauseReason


class ExtendClock(Body):
    """Why it takes longer."""

    reason: ExtensionReason


class CaseNote(Body):
    """A note for the case; sealed."""

    text: Said


class Conclusion(Body):
    """An officer's word on what a request waits for.

    Of what a search found: `accepted`, or `search-again` once it is put right. Of a review: `upheld`,
    `changed` or `annulled`.
    """

    outcome: Text


class WhoAsked(Body):
    """Somebody, by the reference under which they are known."""

    reference: Reference
