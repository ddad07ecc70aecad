"""A paper as an HTML page that stands alone: one file, no scripts, nothing fetched, made to be printed, too.

Its content security policy, in the page itself, forbids everything but its own style sheet.
"""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tenure.errors import Unsupported
from tenure.ledger.base64 import to_base64
from tenure.ledger.page import ENVELOPE
from tenure.rendering.paper import Paper

if TYPE_CHECKING:
    from jinja2 import Environment

INSTALL: Final = "pip install 'tenure[reports]'"


def html_page(paper: Paper) -> str:
    """The page. The same paper gives the same text. Raises Unsupported where the extra is not installed."""
    environment = _environment()
    style = environment.get_template("paper.css").render()
    return environment.get_template("paper.html").render(
        paper=paper, style=style, policy=_policy(style), envelope_id=ENVELOPE
    )


def _policy(style: str) -> str:
    digest = to_base64(hashlib.sha256(style.encode()).digest())
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - not for every process
    except ModuleNotFoundError:
        raise missing("A page") from None
    loader = PackageLoader("tenure.rendering", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["of"] = lambda block, name: type(block).__name__ == name
    return environment


def missing(what: str) -> Unsupported:
    """What to say where the libraries of the extra `reports` are missing."""
    return Unsupported(
        f"{what} needs libraries that are not installed. Nothing was written.",
        rule="the extra `reports`",
        remedy=f"Install them: {INSTALL}",
    )
