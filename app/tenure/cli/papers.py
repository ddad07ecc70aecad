"""Papers (`tenure.rendering`) on the command line: printed, or kept as a page or a PDF."""

from pathlib import Path
from typing import Annotated

import typer

from tenure.cli.output import Output
from tenure.errors import Invalid
from tenure.rendering.html import html_page
from tenure.rendering.paper import Block, Facts, Paper, Part, Sentences, Table
from tenure.rendering.pdf import pdf_file

Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Keep it as a page that stands alone.")
]
Pdf = Annotated[
    Path | None, typer.Option("--pdf", metavar="FILE", help="Keep it as a PDF, the original attached.")
]


def keep(output: Output, paper: Paper, html: Path | None, pdf: Path | None) -> dict[str, str]:
    """Write the files that were asked for: `{"html": path, "pdf": path}`. Both are made before any is kept.

    Raises Unsupported without the extra `reports`, Invalid for a file that cannot be written.
    """
    made = {
        name: (path, render(paper))
        for name, path, render in (("html", html, _page), ("pdf", pdf, pdf_file))
        if path is not None
    }
    for name, (path, content) in made.items():
        try:
            path.write_bytes(content)
        except OSError as failure:
            raise Invalid(
                f"The file cannot be written: {failure.strerror}.",
                field=f"--{name}",
                rule="a file in a folder that is there and may be written to",
                remedy="Name another file.",
            ) from failure
        output.line(f"{name} {path}")
    return {name: str(path) for name, (path, _) in made.items()}


def show(output: Output, paper: Paper) -> None:
    """Print it: the same headings and order as on the page, without the attachment."""
    output.line(paper.title)
    output.line(paper.lead)
    for section in paper.sections:
        output.line()
        output.line(section.title)
        for block in section.blocks:
            _show(output, block)


def _show(output: Output, block: Block) -> None:
    if isinstance(block, Facts):
        output.table(("", ""), block.rows)
    elif isinstance(block, Table):
        output.table(block.columns, block.rows)
    elif isinstance(block, Sentences):
        for item in block.items:
            output.line(f"- {item}")
    elif isinstance(block, Part):
        output.line()
        output.line(block.title)
        for one in block.blocks:
            _show(output, one)
    else:
        output.line(block.text)


def _page(paper: Paper) -> bytes:
    return html_page(paper).encode()
