"""What the demonstration is told with: records, conversations, and who is erased in the end."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

CUSTOMERS, RESERVATIONS = "support.customers", "support.reservations"
CONVERSATIONS, KNOWLEDGE = "support.conversations", "support.knowledge"

Place = tuple[str, str]
"""Scope and key."""


@dataclass(frozen=True, slots=True)
class Item:
    """A record to write. `subjects` are the people it is about."""

    scope: str
    key: str
    content: Any
    subjects: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.scope, self.key


@dataclass(frozen=True, slots=True)
class Conversation:
    """One unit of agent work: what was said, what else was looked up, how it ended."""

    subject: str
    messages: tuple[Item, ...]
    looked_up: tuple[Place, ...]
    outcome: str

    @property
    def reads(self) -> tuple[Place, ...]:
        """Everything that the decision rests on."""
        return (*self.looked_up, *(message.place for message in self.messages))


@dataclass(frozen=True, slots=True)
class DataSet:
    """Everything the story needs. `erase` is a customer who has a conversation."""

    title: str
    items: tuple[Item, ...]
    conversations: tuple[Conversation, ...]
    erase: str

    def everything(self) -> Iterator[Item]:
        """Every record, messages included."""
        yield from self.items
        for conversation in self.conversations:
            yield from conversation.messages

    def about(self, subject: str) -> frozenset[Place]:
        """Where this person occurs."""
        return frozenset(item.place for item in self.everything() if subject in item.subjects)


def shipped() -> DataSet:
    """The small invented airline that comes with Tenure."""
    found = json.loads((resources.files(__package__) / "customers.json").read_text("utf-8"))
    rules = Item(KNOWLEDGE, "rules", {"text": found["rules"]}, (), ("rules",))
    customers = [
        Item(CUSTOMERS, one["ref"], one, (one["ref"],), ("contact", "payment")) for one in found["customers"]
    ]
    reservations = [
        Item(RESERVATIONS, one["id"], one, tuple(one["subjects"]), ("travel",))
        for one in found["reservations"]
    ]
    return DataSet(
        title="a small invented airline",
        items=(rules, *customers, *reservations),
        conversations=tuple(map(_conversation, found["conversations"])),
        erase=found["erase"],
    )


def _conversation(told: dict[str, Any]) -> Conversation:
    customer = told["customer"]
    messages = (
        Item(
            CONVERSATIONS,
            f"{told['id']}/{number}",
            {"from": one["from"], "text": one["text"]},
            (customer,),
            tuple(one["categories"]),
        )
        for number, one in enumerate(told["messages"], 1)
    )
    reads = [
        (KNOWLEDGE, "rules"),
        (CUSTOMERS, customer),
        *((RESERVATIONS, key) for key in told["reservations"]),
    ]
    return Conversation(customer, tuple(messages), tuple(reads), told["outcome"])
