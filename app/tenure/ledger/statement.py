"""Signed statements: a closed form of JSON in a DSSE envelope, signed with the ledger's key.

Each kind has a payload type of its own, so that nothing else that this key signs can pass for one.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tenure.errors import Invalid, Unverified
from tenure.ledger.canonical import canonical, parse_canonical
from tenure.ledger.dsse import sign_envelope
from tenure.ledger.note import Signer

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """A string that is not empty."""
    return isinstance(value, str) and bool(value)


class Form(NamedTuple):
    """What one kind of statement must hold; members beyond these are tolerated.

    `name` is said to people; `rule` and `canonical` name the checks that fail.
    """

    name: str
    payload_type: str
    members: Mapping[str, Check]
    rule: str
    canonical: str

    def sign(self, statement: Mapping[str, Any], signer: Signer) -> str:
        """The envelope. Its `origin` is the signer's name. Raises `Invalid` naming a wrong member."""
        wrong = self._misfit(statement) or ("origin" if statement["origin"] != signer.name else None)
        if wrong is not None:
            raise Invalid(
                f"The {self.name} was not signed: {wrong} is missing or not of its form.",
                field=wrong,
                rule=self.rule,
            )
        return sign_envelope(canonical(dict(statement)), self.payload_type, [signer])

    def parse(self, payload: bytes) -> dict[str, Any]:
        """A payload's statement. Raises `Unverified`: `canonical` or `rule`."""
        try:
            statement = parse_canonical(payload)
        except ValueError as failure:
            raise Unverified(
                self.canonical, f"The {self.name} is not canonical JSON (RFC 8785)."
            ) from failure
        wrong = self._misfit(statement) if isinstance(statement, dict) else "its JSON object"
        if wrong is not None:
            raise Unverified(self.rule, f"In the {self.name} {wrong} is missing or not of its form.")
        return dict(statement)

    def _misfit(self, statement: Mapping[str, Any]) -> str | None:
        return next((name for name, check in self.members.items() if not check(statement.get(name))), None)
