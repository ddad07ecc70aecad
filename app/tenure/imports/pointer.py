"""JSON pointers (RFC 6901) into what a line, an item or an agent's state holds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MISSING: Final = object()
"""What a pointer finds where nothing is."""
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*\Z")
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")

Steps = tuple[str, ...]


def steps_of(pointer: str) -> Steps:
    """The names on the way, unescaped (RFC 6901 §4). ValueError for what is no pointer."""
    if _POINTER.match(pointer) is None:
        raise ValueError(pointer)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def at(document: Any, steps: Steps) -> Any:  # noqa: ANN401 - whatever is there
    """What is at the end of the way, or `MISSING`.

    An agent's state holds objects, too: a step may name a field of a pydantic model or a dataclass, as
    `/values/messages/0/content` does. Never a method or a property: looking must not run anything.
    """
    for step in steps:
        document = _below(document, step)
        if document is MISSING:
            return MISSING
    return document


def _below(value: Any, step: str) -> Any:  # noqa: ANN401 - see above
    if isinstance(value, Mapping):
        return value.get(step, MISSING)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        if _INDEX.match(step) is None or int(step) >= len(value):
            return MISSING
        return value[int(step)]
    fields = getattr(type(value), "model_fields", None) or getattr(type(value), "__dataclass_fields__", {})
    return getattr(value, step, MISSING) if step in fields else MISSING
