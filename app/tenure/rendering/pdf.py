"""A paper as a PDF that carries its attachment as a file. Same headings, same order, same sizes as the page.

The built-in fonts of PDF have Western European letters only; shipping others would be megabytes. A character
that they lack is written as its code point, `[U+4E2D]`: the page and the attachment have the text itself.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tenure.ids import parse_rfc3339
from tenure.rendering.html import missing
from tenure.rendering.paper import Attachment, Block, Facts, Paper, Part, Sentences, Table, Text

if TYPE_CHECKING:
    from fpdf import FPDF

_FONT: Final = "helvetica"
_MONO: Final = "courier"
_BODY, _SMALL, _TITLE, _HEADING, _PART = 10, 8, 18, 13, 11
_GREY: Final = 120
_SHADE: Final = 240
_WIDE: Final = 5
"""A table with more columns than this is set smaller."""
_PAGES: Final = "\x01"
"""Stands for the number of pages until it is known: a character that `_spelled` never writes."""
_SPELLED: Final = {
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{HORIZONTAL ELLIPSIS}": "...",
}


def pdf_file(paper: Paper) -> bytes:
    """The file. The same paper gives the same bytes. Raises Unsupported where the extra is not installed."""
    made_at = _made_at(paper)
    pdf = _new(paper, made_at)
    _heading(pdf, paper.title, _TITLE, level=None)
    _paragraph(pdf, paper.lead)
    for section in paper.sections:
        _heading(pdf, section.title, _HEADING, level=0)
        for block in section.blocks:
            _block(pdf, block)
    if paper.attachment is not None:
        _attach(pdf, paper.attachment, made_at)
    return bytes(pdf.output())


def _new(paper: Paper, made_at: datetime) -> "FPDF":
    try:
        from fpdf import FPDF  # noqa: PLC0415 - with what it brings, a third of a second
    except ModuleNotFoundError:
        raise missing("A PDF") from None

    class Pages(FPDF):
        def footer(self) -> None:
            """The page's number: what is printed may be mixed up."""
            self.set_y(-15)
            self.set_font(_FONT, size=_SMALL)
            self.set_text_color(_GREY)
            self.cell(0, 8, f"{_spelled(paper.title)}, page {self.page_no()} of {_PAGES}", align="C")
            self.set_text_color(0)

    pdf = Pages(format="A4")
    pdf.alias_nb_pages(_PAGES)
    pdf.set_lang("en")
    pdf.set_title(_spelled(paper.title))
    pdf.set_creation_date(made_at)
    pdf.set_auto_page_break(auto=True, margin=20)
    pdf.set_margins(20, 20)
    pdf.add_page()
    return pdf


def _block(pdf: "FPDF", block: Block) -> None:
    if isinstance(block, Facts):
        _table(pdf, block.rows, widths=(38, 62), names=True)
    elif isinstance(block, Table):
        _table(pdf, (block.columns, *block.rows), headings=True)
    elif isinstance(block, Sentences):
        for item in block.items:
            _paragraph(pdf, f"-  {item}")
    elif isinstance(block, Part):
        _heading(pdf, block.title, _PART, level=1)
        for one in block.blocks:
            _block(pdf, one)
    else:
        _text(pdf, block)


def _heading(pdf: "FPDF", title: str, size: int, *, level: int | None) -> None:
    """`level`: in the outline; None: not in it."""
    pdf.ln(4)
    if pdf.will_page_break(30):  # no heading at the foot of a page
        pdf.add_page()
    if level is not None:
        pdf.start_section(_spelled(title), level)
    pdf.set_font(_FONT, "B", size)
    pdf.multi_cell(0, size * 0.5, _spelled(title), new_x="LMARGIN", new_y="NEXT", align="L")
    pdf.ln(1)


def _paragraph(pdf: "FPDF", text: str) -> None:
    pdf.set_font(_FONT, size=_BODY)
    pdf.multi_cell(0, 5, _spelled(text), new_x="LMARGIN", new_y="NEXT", align="L")
    pdf.ln(1)


def _text(pdf: "FPDF", block: Text) -> None:
    if not block.literal:
        _paragraph(pdf, block.text)
        return
    pdf.set_font(_MONO, size=_SMALL)
    pdf.set_fill_color(_SHADE)
    pdf.multi_cell(0, 5, _spelled(block.text), new_x="LMARGIN", new_y="NEXT", align="L", fill=True)
    pdf.set_fill_color(255)
    pdf.ln(1)


def _table(
    pdf: "FPDF",
    rows: tuple[tuple[str, ...], ...],
    *,
    widths: tuple[int, ...] | None = None,
    headings: bool = False,
    names: bool = False,
) -> None:
    """Rows with a line below each. `headings`: the first row is, again on each page; `names`: column 1 is."""
    from fpdf import FontFace  # noqa: PLC0415 - there already

    bold = FontFace(emphasis="BOLD")
    pdf.set_font(_FONT, size=_SMALL if len(rows[0]) > _WIDE else _BODY - 1)
    with pdf.table(
        col_widths=widths,
        text_align="LEFT",
        borders_layout="HORIZONTAL_LINES",
        first_row_as_headings=headings,
        headings_style=bold,
        line_height=5,
    ) as table:
        for cells in rows:
            row = table.row()
            for place, cell in enumerate(cells):
                row.cell(_spelled(cell), style=bold if names and place == 0 else None)
    pdf.ln(1)


def _attach(pdf: "FPDF", attachment: Attachment, made_at: datetime) -> None:
    _heading(pdf, attachment.name, _HEADING, level=0)
    _paragraph(
        pdf, f"{attachment.about} It is a file in this PDF: your reader lists it among the attachments."
    )
    pdf.embed_file(
        bytes=attachment.text.encode(),
        basename=attachment.name,
        mime_type="application/json",
        modification_date=made_at,
        desc=attachment.about,
    )


def _made_at(paper: Paper) -> datetime:
    try:
        return datetime.fromtimestamp(parse_rfc3339(paper.made_at) // 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime(1970, 1, 1, tzinfo=UTC)


def _spelled(text: str) -> str:
    """With the letters that the fonts have: ISO 8859-1 without what does not show, and `_SPELLED`."""
    return "".join(_SPELLED.get(one) or (one if _is_set(one) else f"[U+{ord(one):04X}]") for one in text)


def _is_set(character: str) -> bool:
    code = ord(character)
    return character == "\n" or 0x20 <= code < 0x7F or (0xA0 <= code <= 0xFF and code != 0xAD)  # noqa: PLR2004
