"""The envelope that a page for people carries: taken out to be verified. The page itself proves nothing."""

from html.parser import HTMLParser
from typing import Final

from tenure.errors import Unverified

ENVELOPE: Final = "tenure-envelope"
"""The id of the element whose text is the envelope."""
ONLY_THE_ENVELOPE: Final = (
    "What the page shows: only the envelope in it was checked. Make the page anew from it to compare."
)


def is_page(text: str) -> bool:
    """Whether a file is an HTML page."""
    return text.lstrip("\ufeff \t\r\n")[:9].lower() in ("<!doctype", "<html")


def envelope_of(page: str) -> str:
    """The envelope's text, exactly as it was signed. Unverified("page-format") unless there is just one."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    if len(reader.found) != 1:
        raise Unverified("page-format", "The page does not carry one signed envelope.")
    return "".join(reader.found[0])


class _Reader(HTMLParser):
    """The texts of the elements with that id. What is nested in one is no envelope."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = ("id", ENVELOPE) in attrs
        if self._inside:
            self.found.append([])

    def handle_endtag(self, _tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1].append(data)
