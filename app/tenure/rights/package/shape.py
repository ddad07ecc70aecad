"""`data.json`: everything in the package for machines, in the form of `schema.json` (JSON Schema 2020-12).

Canonical JSON (RFC 8785), written as it comes: the bytes are those of the whole value at once. Times are
RFC 3339. A record's versions come in the order in which its record was begun and they were written.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from tenure.ledger.canonical import canonical
from tenure.model.access_package import Content

FORMAT: Final = "tenure/access-package/v1"
VERSIONS: Final = "versions"
"""The member that is as long as there are versions."""
Json = dict[str, Any]


@lru_cache(maxsize=1)
def schema() -> bytes:
    """The schema's own text, as it is published under docs/schemas/."""
    return (resources.files(__package__) / "schema.json").read_bytes()


def belongs(content: Content, item: Json) -> bool:
    """Whether a version belongs into a package of this content.

    Portable (Art. 20) is what the person provided. Tenure does not know who told the writer what, so the rule
    is what it does know: what is about the person now, was not made from other records, and may be given.
    """
    if content == "access":
        return True
    return (
        item["state"] == "current"
        and item["relation"] == "about you"
        and item["given"] != "nothing"
        and not item["made_from_others"]
    )


def data(facts: Json, versions: Iterable[Json]) -> Iterator[bytes]:
    """The bytes of `data.json`, some at a time. `facts` has every member but the versions."""
    begun = False
    for name in sorted([*facts, VERSIONS]):
        yield (b"," if begun else b"{") + canonical(name) + b":"
        begun = True
        if name == VERSIONS:
            yield from _listed(versions)
        else:
            yield canonical(facts[name])
    yield b"}"


def _listed(items: Iterable[Json]) -> Iterator[bytes]:
    yield b"["
    for at, item in enumerate(items):
        yield (b"," if at else b"") + canonical(item)
    yield b"]"
