"""`tenure certificate`: what a certificate says, for people; as a page or a PDF to hand out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.options import with_parameters
from tenure.cli.output import Output, answering
from tenure.cli.papers import Html, Pdf, keep, show
from tenure.client.http import Connection
from tenure.errors import Invalid
from tenure.ids import is_id
from tenure.ledger.page import carries, envelope_of, text_of
from tenure.rendering.certificates import certificate_paper, read_envelope

_Target = Annotated[
    str,
    typer.Argument(
        metavar="ID|FILE",
        help="A certificate's id, or a file that holds one: JSON, or a page or PDF made from it.",
    ),
]


async def _by_id(
    connection: Connection, output: Output, target: _Target, html: Html = None, pdf: Pdf = None
) -> Any:  # noqa: ANN401 - any JSON
    """Read a certificate, and make a page or a PDF of it. A file needs no service and no key."""
    envelope = await connection.call("GET", f"/v1/certificates/{segment(target)}")
    return _made(output, json.dumps(envelope), html, pdf)


_governed = governing(_by_id)


def _certificate(**given: Any) -> None:  # noqa: ANN401 - the options of `_governed`
    target = str(given["target"])
    if is_id(target):
        _governed(**given)
        return
    output = Output(as_json=given["as_json"])
    with answering(output):
        output.document(_made(output, _read(Path(target)), given["html"], given["pdf"]))


_certificate.__doc__ = _by_id.__doc__
certificate = with_parameters(_certificate, _governed, [], drop=set())


def _made(output: Output, text: str, html: Path | None, pdf: Path | None) -> dict[str, Any]:
    envelope, paper = read_envelope(text), certificate_paper(text)
    kept = keep(output, paper, html, pdf)
    if not kept:
        show(output, paper)
    output.line("Not verified. Check it anywhere: tenure verify FILE --vkey KEY (the log's key)")
    return {
        "certificate": envelope.payload,
        "type": envelope.payload_type,
        "sha256": envelope.sha256,
        "verified": False,
        "envelope": json.loads(envelope.text),
        **kept,
    }


def _read(path: Path) -> str:
    try:
        text = text_of(path.read_bytes())
    except OSError as failure:
        raise Invalid(
            "There is no certificate of that id, and no such file. Nothing was written.",
            field="ID|FILE",
            rule="a certificate's id, or a file that can be read",
            remedy="List the certificates: GET /v1/certificates.",
        ) from failure
    return envelope_of(text) if carries(text) else text
