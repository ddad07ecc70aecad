"""A data set from a folder shaped like tau-bench's airline: users, reservations, recorded conversations.

users.json          {user id: {name, address, email, dob, payment_methods, saved_passengers, …}}
reservations.json   {reservation id: {user_id, passengers: [{first_name, last_name, dob}], …}}
trajectories.json   [{info: {task: {user_id}}, reward, traj: [{role, content, tool_calls?}, …]}]
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenure.cli.demo.dataset import (
    CONVERSATIONS,
    CUSTOMERS,
    KNOWLEDGE,
    RESERVATIONS,
    Conversation,
    DataSet,
    Item,
    Place,
)
from tenure.errors import Malformed

_HEALTH = re.compile(
    r"\b(sick|illness|medical|surgery|hospital|pregnan\w*|wheelchair|disab\w*)\b", re.IGNORECASE
)
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f]+")
_SYSTEM = "system"

Person = dict[str, Any]


def load(folder: Path) -> DataSet:
    """The whole folder. Raises Malformed when it is not shaped like that."""
    try:
        users, reservations, recorded = (
            json.loads((folder / f"{name}.json").read_text("utf-8"))
            for name in ("users", "reservations", "trajectories")
        )
        return _Airline(users, reservations).told(recorded)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
        raise Malformed(
            f"The folder is not shaped like tau-bench's airline ({type(failure).__name__}). Nothing done.",
            field="--data",
            rule="users.json, reservations.json, trajectories.json",
        ) from failure


class _Airline:
    def __init__(self, users: dict[str, Person], reservations: dict[str, Any]) -> None:
        self._users = users
        self._reservations = reservations
        # A passenger with the name and birth date of a customer is that customer.
        self._known = {_identity({**user["name"], "dob": user["dob"]}): key for key, user in users.items()}

    def told(self, recorded: list[dict[str, Any]]) -> DataSet:
        """Everything as records; the first recorded customer is the one who is erased."""
        rules = {one["content"] for run in recorded for one in run["traj"] if one["role"] == _SYSTEM}
        texts = {text: f"rules-{number}" for number, text in enumerate(sorted(rules), 1)}
        items = [Item(KNOWLEDGE, key, {"text": text}, (), ("rules",)) for text, key in texts.items()]
        items += [
            Item(CUSTOMERS, key, user, self._about_user(key), ("contact", "payment"))
            for key, user in self._users.items()
        ]
        items += [
            Item(RESERVATIONS, key, made, self._about_reservation(key), ("travel",))
            for key, made in self._reservations.items()
        ]
        conversations = tuple(
            self._conversation(number, run, texts) for number, run in enumerate(recorded, 1)
        )
        counts = len(self._users), len(self._reservations), len(recorded)
        title = "{} customers, {} reservations, {} recorded conversations".format(*counts)
        return DataSet(title, tuple(items), conversations, conversations[0].subject)

    def _conversation(self, number: int, run: dict[str, Any], texts: dict[str, str]) -> Conversation:
        user = run["info"]["task"]["user_id"]
        reads: dict[Place, None] = {}  # in order, each once
        messages: list[Item] = []
        about: dict[str, tuple[str, ...]] = {}  # tool call → whom its answer is about
        for one in run["traj"]:
            if one["role"] == _SYSTEM:
                reads[KNOWLEDGE, texts[one["content"]]] = None
                continue
            for call, arguments in _calls(one):
                place, about[call] = self._touched(arguments)
                if place is not None:
                    reads[place] = None
            people = dict.fromkeys((_customer(user), *about.get(one.get("tool_call_id", ""), ())))
            key = f"conversation-{number}/{len(messages) + 1}"
            messages.append(Item(CONVERSATIONS, key, one, tuple(people), _labels(one)))
        if (CUSTOMERS, user) not in reads:
            reads = {(CUSTOMERS, user): None, **reads}
        outcome = "solved" if run["reward"] == 1 else "not-solved"
        return Conversation(_customer(user), tuple(messages), tuple(reads), outcome)

    def _touched(self, arguments: dict[str, Any]) -> tuple[Place | None, tuple[str, ...]]:
        """What a tool call looks at, and whom that is about."""
        if (key := arguments.get("reservation_id")) in self._reservations:
            return (RESERVATIONS, key), self._about_reservation(key)
        if (key := arguments.get("user_id")) in self._users:
            return (CUSTOMERS, key), self._about_user(key)
        return None, ()

    def _about_user(self, key: str) -> tuple[str, ...]:
        saved = map(self._person, self._users[key]["saved_passengers"])
        return tuple(dict.fromkeys((_customer(key), *saved)))

    def _about_reservation(self, key: str) -> tuple[str, ...]:
        made = self._reservations[key]
        return tuple(dict.fromkeys((_customer(made["user_id"]), *map(self._person, made["passengers"]))))

    def _person(self, person: Person) -> str:
        """A stable reference: the customer if it is one, else name and birth date."""
        identity = _identity(person)
        return _customer(self._known[identity]) if identity in self._known else f"passenger:{identity}"


def _customer(key: str) -> str:
    return f"customer:{key}"


def _identity(person: Person) -> str:
    name = f"{person['first_name']}.{person['last_name']}.{person['dob']}"
    return _UNFIT.sub("-", name).lower()


def _calls(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for call in message.get("tool_calls") or ():
        try:
            arguments = json.loads(call["function"]["arguments"])
        except ValueError:  # recorded as the model wrote it
            continue
        if isinstance(arguments, dict):
            yield call["id"], arguments


def _labels(message: dict[str, Any]) -> tuple[str, ...]:
    """Everything may hold contact, payment and travel data; what a customer says of health is kept apart."""
    usual = ("contact", "payment", "travel")
    said = message["content"] if message["role"] == "user" else None
    return (*usual, "health") if said and _HEALTH.search(said) else usual
