"""A folder shaped like tau-bench's airline, made up: customers who fly with each other and with others.

And what a second reader of such a folder says of one customer: a plain scan of the files that shares no code
with what loads them or with what makes packages.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CUSTOMERS, RESERVATIONS = "support.customers", "support.reservations"
CONVERSATIONS = "support.conversations"


def make(folder: Path, *, customers: int = 14, reservations: int = 40, conversations: int = 8) -> Path:
    """Write the three files."""
    chance = random.Random(7)
    folder.mkdir(parents=True)
    people = [
        {"first_name": f"First{n}", "last_name": f"Last{n}", "dob": f"19{50 + n % 50}-0{1 + n % 9}-11"}
        for n in range(customers + 6)
    ]
    users: dict[str, Any] = {}
    for n in range(customers):
        one = people[n]
        users[f"first{n}_last{n}_{1000 + n}"] = {
            "name": {name: one[name] for name in ("first_name", "last_name")},
            "email": f"first{n}.last{n}@example.com",
            "dob": one["dob"],
            "payment_methods": {f"card_{n}": {"source": "credit_card", "last_four": f"{4000 + n}"}},
            "saved_passengers": chance.sample(people, 2) if n % 3 == 0 else [],
        }
    ids = list(users)
    booked: dict[str, Any] = {}
    for n in range(reservations):
        whose = chance.randrange(customers)
        flying = [people[whose], *(chance.sample(people, n % 3) if n % 2 else [])]
        unique = list({json.dumps(one): one for one in flying}.values())
        booked[f"R{n:03}"] = {"reservation_id": f"R{n:03}", "user_id": ids[whose], "passengers": unique}
    told = []
    for n in range(conversations):
        whose = ids[n % 4]
        theirs = [key for key, one in booked.items() if one["user_id"] == whose] or ["R000"]
        asked = [("get_user_details", {"user_id": whose})]
        asked += [("get_reservation_details", {"reservation_id": key}) for key in chance.sample(theirs, 1)]
        said: list[dict[str, Any]] = [{"role": "system", "content": "The rules."}]
        said.append({"role": "user", "content": f"I am {whose}" + (" and I was sick" if n % 3 == 0 else "")})
        for number, (name, arguments) in enumerate(asked):
            call = {
                "id": f"call_{n}_{number}",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            said.append({"role": "assistant", "content": None, "tool_calls": [call]})
            said.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(arguments)})
        told.append({"info": {"task": {"user_id": whose}}, "reward": n % 2, "traj": said})
    for name, content in (("users", users), ("reservations", booked), ("trajectories", told)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@dataclass
class Held:
    """What the files say is about one customer: (scope, key) → content; alone, or with so many others."""

    alone: dict[tuple[str, str], Any] = field(default_factory=dict)
    shared: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    conversations: set[int] = field(default_factory=set)
    """Numbers of the conversations whose decision looked at something about the customer."""

    def add(self, place: tuple[str, str], people: set[str], me: str, content: Any) -> None:
        if me in people:
            if people == {me}:
                self.alone[place] = content
            else:
                self.shared[place] = len(people) - 1, content


def scan(folder: Path, me: str) -> Held:
    """Read the files once, for the customer with this id."""
    read = {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in FILES}
    users, booked = read["users"], read["reservations"]
    customer = {
        (user["name"]["first_name"].lower(), user["name"]["last_name"].lower(), user["dob"]): key
        for key, user in users.items()
    }

    def who(one: dict[str, str]) -> str:
        known = one["first_name"].lower(), one["last_name"].lower(), one["dob"]
        return customer.get(known) or "|".join(known)

    people: dict[tuple[str, str], set[str]] = {}
    held = Held()
    for key, user in users.items():
        people["user_id", key] = {key} | {who(one) for one in user["saved_passengers"]}
        held.add((CUSTOMERS, key), people["user_id", key], me, user)
    for key, made in booked.items():
        people["reservation_id", key] = {made["user_id"]} | {who(one) for one in made["passengers"]}
        held.add((RESERVATIONS, key), people["reservation_id", key], me, made)
    for number, run in enumerate(read["trajectories"], 1):
        whose, at, asked = run["info"]["task"]["user_id"], 0, {}
        touched = {*people["user_id", whose]}
        for message in run["traj"]:
            if message["role"] == "system":
                continue
            at += 1
            for call in message.get("tool_calls") or []:
                asked[call["id"]] = _about(call["function"]["arguments"], people)
                touched |= asked[call["id"]]
            about = {whose} | asked.get(message.get("tool_call_id", ""), set())
            touched |= about
            held.add((CONVERSATIONS, f"conversation-{number}/{at}"), about, me, message)
        if me in touched:
            held.conversations.add(number)
    return held


FILES = ("users", "reservations", "trajectories")


def _about(arguments: str, people: dict[tuple[str, str], set[str]]) -> set[str]:
    """Whom the answer to a tool call is about. A reservation that was asked for counts before a customer."""
    try:
        given = json.loads(arguments)
    except ValueError:
        return set()
    if not isinstance(given, dict):
        return set()
    for name in ("reservation_id", "user_id"):
        if isinstance(given.get(name), str) and (name, given[name]) in people:
            return people[name, given[name]]
    return set()
