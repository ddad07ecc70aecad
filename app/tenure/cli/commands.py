"""What the service says in calls of its API, said in commands: it does not know who is listening."""

import re
from typing import Final

_CALL = re.compile(r"(GET|POST) /v1/requests(/\{id\})?(?::([a-z]+))?(?![\w/])")
_WITHOUT_VERB: Final = {
    ("GET", True): "show",
    ("GET", False): "list",
    ("POST", False): "open",
}
NEEDED: Final = {
    "identify": "--method METHOD",
    "refuse": "--ground GROUND",
    "pause": "--reason REASON",
    "extend": "--reason REASON",
    "note": "--text TEXT",
    "conclude": "--outcome OUTCOME",
}
"""Options without which a verb of a request is none."""


def in_commands(text: str, request: str = "ID") -> str:
    """The text with each call of a rights request as the command that makes it."""

    def command(call: re.Match[str]) -> str:
        method, one, verb = call[1], call[2] is not None, call[3]
        verb = verb or _WITHOUT_VERB.get((method, one))
        parts = ("tenure request", verb, request if one else None, NEEDED.get(verb or ""))
        return " ".join(part for part in parts if part) if verb else call[0]

    return _CALL.sub(command, text)
