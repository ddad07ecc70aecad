"""The `spec` of the Controller manifest: who answers for the processing, and how its requests are handled.

A tenant has one at most, named `default`. Without one the law's defaults hold: UTC, a period that ends when
it ends, no cooling-off, cases kept for three years.
"""

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, Strict, WithJsonSchema

from tenure.model.retention import Duration
from tenure.model.specs import Spec, Text, broken

_DAY = 24
_PLACE = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?\Z")


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise broken(
            "time-zone", "is not a time zone", "Write a name of the IANA database, such as `Europe/Berlin`."
        )
    return value


def _place(value: str) -> str:
    if not _PLACE.match(value):
        raise broken(
            "holidays",
            "is not a country or a part of one",
            "Write an ISO 3166 code such as `DE`, `DE-BE` or `US-CA`.",
        )
    return value


_Zone = Annotated[str, Strict(), AfterValidator(_zone), WithJsonSchema({"type": "string", "maxLength": 64})]
_Holidays = Annotated[
    str,
    Strict(),
    AfterValidator(_place),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Z]{2}(?:-[A-Z0-9]{1,3})?$"}),
]


class RequestsSpec(Spec):
    """How rights requests are handled."""

    time_zone: _Zone = Field(default="UTC", description="In whose days periods are counted.")
    holidays: _Holidays | None = Field(
        default=None, description="Whose public holidays count: ISO 3166, such as DE-BE."
    )
    weekends: Literal["keep", "next-working-day"] = Field(
        default="keep",
        description="A period that ends on a Saturday, Sunday or holiday ends then, or a working day later.",
    )
    cooling_off: Duration | None = Field(
        default=None, description="How long an approved request can still be withdrawn."
    )
    remind_before: Duration = Field(
        default=7 * _DAY, description="How long before it is due a request is called urgent."
    )
    package_term: Duration = Field(
        default=14 * _DAY, description="How long an access package can be fetched; then it is erased."
    )
    keep_cases: Duration = Field(
        default=3 * 365 * _DAY, description="How long a closed case says who asked and in which words."
    )

    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)


class ControllerSpec(Spec):
    """Who answers for the processing: Art. 4(7) and 30(1)(a) GDPR."""

    name: Text
    contact: Text = Field(description="How the controller is reached.")
    representative: Text | None = Field(default=None, description="In the Union: Art. 27.")
    data_protection_officer: Text | None = Field(default=None, description="How the officer is reached.")
    requests: RequestsSpec | None = Field(default=None, description="How rights requests are handled.")

    @property
    def on_requests(self) -> RequestsSpec:
        """How rights requests are handled, given or not."""
        return self.requests or RequestsSpec()
