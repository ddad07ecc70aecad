"""Why a token is not taken. What it says is never repeated: tokens and claims have no business in logs."""

from typing import Final

from tenure.errors import Unauthenticated

UNTRUSTED: Final = "signed by a configured issuer, for its audience, with one of its algorithms"
"""One rule for all that comes before the signature holds: nobody learns here who configured what."""


def refused(
    rule: str, remedy: str = "Ask the issuer for a new access token for this service."
) -> Unauthenticated:
    """The one error of this package."""
    return Unauthenticated(
        "The access token is not accepted; nothing was done.",
        field="Authorization",
        rule=rule,
        remedy=remedy,
    )
