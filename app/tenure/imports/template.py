"""Texts with places in them: `{/conversation}/{line}`, `customer:{value}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tenure.errors import Invalid
from tenure.imports.pointer import MISSING, Steps, at, steps_of

_PLACE = re.compile(r"\{([^{}]*)\}")


def text_of(value: Any) -> str | None:  # noqa: ANN401 - whatever a field holds
    """A field's value where a text is wanted: a text that is not empty, or a whole number. None otherwise."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


@dataclass(frozen=True, slots=True)
class Template:
    """Text, then a place, then text, …: one text more than places."""

    texts: tuple[str, ...]
    places: tuple[str | Steps, ...]

    @classmethod
    def parse(cls, template: str) -> Self:
        """ValueError for an empty one, or one with other places than pointers, `value` and `line`."""
        parts = _PLACE.split(template)
        if not template or any("{" in text or "}" in text for text in parts[::2]):
            raise ValueError(template)
        names = parts[1::2]
        if any(not name.startswith("/") and name not in ("value", "line") for name in names):
            raise ValueError(template)
        return cls(tuple(parts[::2]), tuple(steps_of(one) if one[0] == "/" else one for one in names))

    def filled(self, document: Any, named: Mapping[str, str], field: str) -> str:  # noqa: ANN401 - any JSON
        """With the document's values. Raises Invalid, naming `field`, when one is missing or no text."""
        made = [self.texts[0]]
        for place, text in zip(self.places, self.texts[1:], strict=True):
            if isinstance(place, str):
                found = named.get(place)
            else:
                value = at(document, place)
                found = None if value is MISSING else text_of(value)
            if found is None:
                raise Invalid(
                    f"What {field} is made of is missing, or is neither a text nor a whole number.",
                    field=field,
                    rule="texts and whole numbers",
                    remedy="Correct the mapping, or skip what lacks it.",
                )
            made += [found, text]
        return "".join(made)
