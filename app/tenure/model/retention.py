"""The `spec` of a Retention manifest: how long what is where, and when it goes (`lifetime`, `cohorts`)."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from tenure.model import durations
from tenure.model.specs import EventName, NamesOrAny, Patterns, Spec, Text, broken


def _duration(value: object) -> object:
    hours = durations.parse_duration(value)
    if hours is None:
        raise broken(
            "duration",
            "is not a length of time",
            "Write whole hours, days or weeks, such as `12h`, `30d` or `4w`; 36525 days at most.",
        )
    return hours


Duration = Annotated[
    int,
    BeforeValidator(_duration),
    PlainSerializer(durations.duration),
    WithJsonSchema({"type": "string", "pattern": f"^{durations.FORM}$"}),
]
"""Hours inside, `30d` outside."""


class RetentionSpec(Spec):
    """How long records of some scopes and categories are kept, and where."""

    description: Text | None = None
    scopes: Patterns = Field(description="Scopes or patterns of them.")
    categories: NamesOrAny = Field(description='Categories, each with what is below it, or "*".')
    clock: Literal["write", "access", "event"] = Field(
        default="write", description="What starts the clock: the write, the last access, or an event."
    )
    event: EventName | None = Field(default=None, description="With clock `event`: its name.")
    hot_for: Duration | None = Field(default=None, description="In the database for so long,")
    cold_for: Duration | None = Field(default=None, description="then in the object store for so long,")
    archive_for: Duration | None = Field(default=None, description="then in its archive for so long.")
    delete_after: Duration | None = Field(default=None, description="Deleted so long after the clock began.")
    floor: Duration | None = Field(default=None, description="Kept for at least so long: a legal minimum.")
    ground: Text | None = Field(default=None, description="With `floor`: which law asks for it.")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        stages = (self.hot_for, self.cold_for, self.archive_for)
        if all(one is None for one in (*stages, self.delete_after, self.floor)):
            raise broken(
                "retention-empty",
                "says nothing about how long",
                "Give at least one of hotFor, coldFor, archiveFor, deleteAfter and floor.",
            )
        if (self.clock == "event") != (self.event is not None):
            raise broken(
                "retention-event",
                "clock `event` and `event` do not stand together",
                "Name the event that starts the clock, or leave `event` out with another clock.",
            )
        if (self.floor is not None) != bool((self.ground or "").strip()):
            raise broken(
                "retention-floor",
                "`floor` and `ground` do not stand together",
                "Say in `ground` which law asks for the minimum; leave it out without one.",
            )
        if self.delete_after is not None and (self.floor or 0) > self.delete_after:
            raise broken(
                "retention-order",
                "`floor` is longer than `deleteAfter`",
                "Delete no earlier.",
            )
        if self.delete_after is not None and sum(one or 0 for one in stages) > self.delete_after:
            raise broken(
                "retention-order",
                "hotFor, coldFor and archiveFor are longer than `deleteAfter` together",
                "Shorten the stages: they follow one another.",
            )
        return self
