"""Answers that are also papers for people: JSON, unless the caller would rather have a page or a PDF."""

import asyncio
from typing import Final

from litestar.exceptions import HTTPException

from tenure.http.auth import Call
from tenure.http.reply import JSON, Reply
from tenure.rendering.html import html_page
from tenure.rendering.paper import Paper
from tenure.rendering.pdf import pdf_file

HTML: Final = b"text/html; charset=utf-8"
PDF: Final = b"application/pdf"
_PAGE, _PRINT = "text/html", "application/pdf"
_KINDS: Final = [JSON.decode(), _PAGE, _PRINT]
_VARY: Final = (b"vary", b"accept")
# What a page of ours says of itself (tenure.rendering.html), for whoever looks at headers only.
_ALONE: Final = (b"content-security-policy", b"sandbox")
_AS_IT_IS: Final = (b"x-content-type-options", b"nosniff")


def wanted(request: Call, kinds: list[str] = _KINDS) -> str:
    """The media type that the caller likes best of these (RFC 9110 §12.5.1); the first if it likes none."""
    try:
        return request.accept.best_match(kinds, default=kinds[0])
    except (ValueError, OverflowError, HTTPException):  # a quality that is no number
        return kinds[0]


async def paper_reply(kind: str, paper: Paper, name: str) -> Reply:
    """The paper as a page or a PDF; `name`: of the file that a browser keeps, without its ending."""
    if kind == _PRINT:
        body = await asyncio.to_thread(pdf_file, paper)
        return Reply(200, body, PDF, _file(name, "pdf"), _VARY, _AS_IT_IS)
    page = await asyncio.to_thread(html_page, paper)
    return Reply(200, page.encode(), HTML, _file(name, "html"), _VARY, _AS_IT_IS, _ALONE)


def json_of(body: bytes) -> Reply:
    """The answer to who asked for no paper."""
    return Reply(200, body, JSON, _VARY)


def _file(name: str, ending: str) -> tuple[bytes, bytes]:
    return b"content-disposition", f'inline; filename="{name}.{ending}"'.encode()
