"""`index.html`: the same for people, in one file that needs no tools and no network.

Everything that somebody wrote is escaped, and the page says itself that nothing in it runs or is fetched.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

Json = dict[str, Any]
_LISTS = ("places", "purposes", "recipients", "sources", "decisions", "events")
"""What a portable package has nothing of."""


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment  # noqa: PLC0415 - only who makes a page waits for it

    found = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return found.from_string((resources.files(__package__) / "page.html").read_text("utf-8"))


def page(facts: Json, versions: Iterable[Json]) -> Iterator[bytes]:
    """The page's bytes, some at a time: it is as long as there are versions."""
    whole = dict.fromkeys(_LISTS, ()) | facts
    for text in _template().generate(facts=whole, versions=versions):
        yield text.encode()
