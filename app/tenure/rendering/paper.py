"""A paper before it is laid out: headings and four kinds of blocks. Pages, PDFs and terminals show one."""

from typing import NamedTuple


class Facts(NamedTuple):
    """Names and what they are, one a row."""

    rows: tuple[tuple[str, str], ...]


class Table(NamedTuple):
    """Columns with headings. Every row has a cell for each."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Sentences(NamedTuple):
    """Sentences of equal weight, in a list."""

    items: tuple[str, ...]


class Text(NamedTuple):
    """A paragraph. `literal`: something to type or to copy, character by character."""

    text: str
    literal: bool = False


class Part(NamedTuple):
    """A heading below a section's, and its blocks."""

    title: str
    blocks: tuple[Facts | Table | Sentences | Text, ...]


Block = Facts | Table | Sentences | Text | Part


class Section(NamedTuple):
    """A heading and its blocks. `name` identifies it within the paper: letters, digits, hyphens."""

    name: str
    title: str
    blocks: tuple[Block, ...]


class Attachment(NamedTuple):
    """What the paper shows, exactly as it was signed: part of the page, a file in the PDF."""

    name: str
    text: str
    about: str


class Paper(NamedTuple):
    """A whole paper, in English. `made_at` is RFC 3339: the same paper makes the same bytes at any time."""

    title: str
    lead: str
    made_at: str
    sections: tuple[Section, ...]
    attachment: Attachment | None = None
