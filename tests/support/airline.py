"""An airline in miniature, shaped as the demonstration's data: customers who fly with each other.

With `TENURE_AIRLINE_DATA` naming a folder of tau-bench's airline, that is told instead.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

from tenure.cli.demo import airline
from tenure.cli.demo.dataset import DataSet

_RULES = "Be kind, and change no flight that was flown."


def told(folder: Path, *, conversations: int, customers: int = 40) -> DataSet:
    """The same at every call. Every second reservation is flown by two customers, every sixth by three."""
    if given := os.environ.get("TENURE_AIRLINE_DATA"):
        return airline.load(Path(given))
    dice = random.Random(8)
    users = {f"user_{n}": _user(n, dice.sample(range(customers), 2)) for n in range(customers)}
    reservations = {f"R{n:03}": _flight(n, dice.sample(range(customers), 3)) for n in range(2 * customers)}
    talks = [_talk(n, dice, users, reservations) for n in range(conversations)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("users", users), ("reservations", reservations), ("trajectories", talks)):
        (folder / f"{name}.json").write_text(json.dumps(value))
    return airline.load(folder)


def _person(n: int) -> dict[str, str]:
    return {
        "first_name": f"Given{n}",
        "last_name": f"Family{n}",
        "dob": f"19{60 + n % 40}-01-{1 + n % 28:02}",
    }


def _user(n: int, friends: list[int]) -> dict[str, Any]:
    me = _person(n)
    # Few keep others with their own data: whoever is erased takes that along.
    saved = [_person(one) for one in friends if one != n] if n % 10 == 0 else []
    name = {"first_name": me["first_name"], "last_name": me["last_name"]}
    return {"name": name, "dob": me["dob"], "email": f"user{n}@example.com", "saved_passengers": saved}


def _flight(n: int, people: list[int]) -> dict[str, Any]:
    aboard = people[: 3 if n % 6 == 0 else 2 if n % 2 == 0 else 1]
    return {"user_id": f"user_{aboard[0]}", "passengers": [_person(one) for one in aboard]}


def _talk(n: int, dice: random.Random, users: dict[str, Any], reservations: dict[str, Any]) -> dict[str, Any]:
    user = f"user_{dice.randrange(len(users))}"
    mine = [key for key, one in reservations.items() if one["user_id"] == user]
    looked_up = dice.sample(mine, min(2, len(mine))) or ["R000"]
    calls = [
        {"id": f"c{at}", "function": {"name": "get", "arguments": json.dumps({"reservation_id": key})}}
        for at, key in enumerate(looked_up)
    ]
    said = [
        {"role": "system", "content": _RULES},
        {"role": "user", "content": f"Talk {n}: where am I going?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": one["id"], "content": "a flight"} for one in calls),
        {"role": "assistant", "content": "There."},
    ]
    return {"info": {"task": {"user_id": user}}, "reward": n % 2, "traj": said}
