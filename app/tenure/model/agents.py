"""The `spec` of an Agent manifest: the context that an agent needs, and how much of it.

Checked and kept; nothing in this version goes by it (`manifests.NOT_ENFORCED`).
"""

from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema, model_validator

from tenure.model import names
from tenure.model.retention import Duration
from tenure.model.specs import Label, NamesOrAny, Spec, Text, broken

TOKENS_MAX = 100_000_000
PRIORITY_MAX = 1000
NEEDS_MAX = 100


def _whole(most: int) -> BeforeValidator:
    """A number from 1. YAML's numbers are read as floats; true is no number."""

    def check(value: object) -> object:
        if (
            type(value) in (int, float)
            and 1 <= cast("float", value) <= most
            and value == int(cast("float", value))
        ):
            return int(cast("float", value))
        raise broken("whole-number", f"is not 1 to {most}", "Write a whole number without quotes.")

    return BeforeValidator(check)


def _number(most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": 1, "maximum": most})


def _scope(value: str) -> str:
    if not names.is_scope(value) or names.is_reserved_scope(value):
        raise broken("scope", f"{names.shown(value)} is not a scope", "Name one declared scope; no pattern.")
    return value


def _each_once(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) != len(value):
        raise broken("unique", "names the same thing twice", "Name each once.")
    return value


def _in_order(value: tuple["NeedSpec", ...]) -> tuple["NeedSpec", ...]:
    return tuple(sorted(value, key=lambda one: one.name))


Tokens = Annotated[int, _whole(TOKENS_MAX), _number(TOKENS_MAX)]
Priority = Annotated[int, _whole(PRIORITY_MAX), _number(PRIORITY_MAX)]
ScopeName = Annotated[
    str,
    Strict(),
    AfterValidator(_scope),
    WithJsonSchema({"type": "string", "pattern": names.SCOPE, "maxLength": names.NAME_MAX}),
]
Fallback = Literal["older-version", "summary", "omit"]


class NeedSpec(Spec):
    """One thing that an agent needs to know."""

    name: Label = Field(description="How this need is called; once in an agent.")
    scope: ScopeName = Field(description="One declared scope.")
    categories: NamesOrAny = Field(description='Categories, each with what is below it, or "*".')
    purpose: Label
    subject: Literal["bound", "unbound"] = Field(
        default="bound", description="bound: only what is about the person whom the agent serves."
    )
    window: Duration | None = Field(default=None, description="Only what was written within so long.")
    freshness: Duration | None = Field(default=None, description="Stale when older than this.")
    max_tokens: Tokens | None = None
    priority: Priority = Field(default=100, description="1 to 1000; the higher is filled first.")
    required: Annotated[bool, Strict()] = Field(
        default=False, description="true: without it there is an error, not a gap."
    )
    fallback: Annotated[tuple[Fallback, ...], Field(max_length=3), AfterValidator(_each_once)] = Field(
        default=(), description="What is taken instead, in this order."
    )
    summaries: ScopeName | None = Field(
        default=None, description="With fallback `summary`: where summaries are."
    )
    next: Annotated[tuple[Label, ...], Field(max_length=NEEDS_MAX), AfterValidator(_each_once)] = Field(
        default=(), description="Needs of this agent that are likely to be asked for after this one."
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.required and "omit" in self.fallback:
            raise broken(
                "need-required", "is required and may be omitted", "Drop `omit`, or make the need optional."
            )
        if ("summary" in self.fallback) != (self.summaries is not None):
            raise broken(
                "need-summary",
                "fallback `summary` and `summaries` do not stand together",
                "Say in `summaries` in which scope summaries are; leave it out without that fallback.",
            )
        return self


class AgentSpec(Spec):
    """What an agent needs to know to do its work, within a budget of tokens."""

    description: Text
    budget_tokens: Tokens = Field(description="How many tokens of context there are in all.")
    needs: Annotated[
        tuple[NeedSpec, ...], Field(min_length=1, max_length=NEEDS_MAX), AfterValidator(_in_order)
    ]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        known = {one.name for one in self.needs}
        if len(known) != len(self.needs):
            raise broken("unique", "has two needs of the same name", "Give each need a name of its own.")
        if any(name not in known or name == one.name for one in self.needs for name in one.next):
            raise broken(
                "need-next", "has a `next` that is not another need of this agent", "Correct the name."
            )
        least = sum(one.max_tokens or 0 for one in self.needs if one.required)
        if least > self.budget_tokens:
            raise broken(
                "need-budget",
                f"needs {least} tokens for what is required, and has fewer",
                "Raise budgetTokens, or lower maxTokens of required needs.",
            )
        return self
