"""The envelope that a file for people carries: taken out to be verified. The rest of the file proves nothing.

a page (HTML)      the text of one element
a PDF              its attachment, as Tenure writes it: not compressed, on one line
a JSON document    the member `envelope` of what `tenure certificate --json` prints
"""

import json
import re
from html.parser import HTMLParser
from typing import Any, Final

from tenure.errors import Unverified

ENVELOPE: Final = "tenure-envelope"
"""The id of the element whose text is the envelope."""
ONLY_THE_ENVELOPE: Final = (
    "What the file shows: only the envelope in it was checked. Make a page anew from it to compare."
)
_PDF: Final = "%PDF-"
_ATTACHED = re.compile(r"/Type\s*/EmbeddedFile\s*>>\s*stream\r?\n(\{[^\r\n]*\})\r?\nendstream")


def text_of(content: bytes) -> str:
    """A file's text. Of a PDF, which has none as a whole, a character for each byte."""
    return (
        content.decode("latin-1") if content.startswith(_PDF.encode()) else content.decode(errors="replace")
    )


def carries(text: str) -> bool:
    """Whether a file is a page, a PDF or a document around an envelope."""
    return _is_page(text) or text.startswith(_PDF) or _document(text) is not None


def envelope_of(text: str) -> str:
    """The envelope's text, as it was signed. Unverified("page-format") unless the file has just one."""
    if _is_page(text):
        reader = _Reader()
        reader.feed(text)
        reader.close()
        return _only(
            ["".join(found) for found in reader.found], "The page does not carry one signed envelope."
        )
    if text.startswith(_PDF):
        return _only(
            _ATTACHED.findall(text),
            "The envelope is the PDF's attachment, and cannot be read from this file. Save it with a PDF"
            " reader, or with pdfdetach -saveall, and verify certificate.json.",
        )
    document = _document(text)
    return _only(
        [] if document is None else [json.dumps(document["envelope"])], "The document carries no envelope."
    )


def _only(found: list[str], otherwise: str) -> str:
    if len(found) != 1:
        raise Unverified("page-format", otherwise)
    return found[0]


def _is_page(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n")[:9].lower() in ("<!doctype", "<html")


def _document(text: str) -> dict[str, Any] | None:
    """A JSON object with an envelope in it; None for everything else, an envelope itself as well."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "envelope" in found and "payload" not in found else None


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
