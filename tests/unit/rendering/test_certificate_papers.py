"""Certificates for people: all that was signed is on the page, nothing runs, and it verifies alone."""

import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tenure.client.verify import verify_file, verify_text
from tenure.errors import Unverified
from tenure.ledger.canonical import canonical
from tenure.ledger.certificate import KIND, issue_certificate
from tenure.ledger.dsse import sign_envelope
from tenure.ledger.page import envelope_of, text_of
from tenure.rendering.certificates import certificate_paper, read_envelope
from tenure.rendering.html import html_page
from tenure.rendering.pdf import pdf_file
from tenure.rendering.values import shown
from unit.ledger.logs import ORIGIN, SIGNER

AT = "2026-09-21T14:13:20.000002Z"
EVIL = '</pre></script><img src=x onerror="alert(1)"> {{ 7 * 7 }} {% raw %}'
ERASURE = {
    "v": 1,
    "kind": KIND,
    "id": "0199-1",
    "tenant": "0199-2",
    "origin": ORIGIN,
    "shred": "0199-3",
    "subject": "0199-4",
    "issued_at": AT,
    "irrecoverable_at": AT,
    "steps": [{"step": "requested", "at": AT}, {"step": "purged", "at": AT}],
    "keys": {
        "provider": "files",
        "guarantee": "Overwritten \N{EN DASH} once, 中文.",
        "root_versions_destroyed": [{"version": 3, "unusable_at": AT, "evidence": {"file": "root-3"}}],
    },
    "stores": {"database": {"versions_purged": 17}, "objects": "No pack has any of it."},
    "residue": {"read_back": {"versions": 0}, "searched_for_values": "not asked for"},
    "holds": [{"hold": "0199-5", "ground": EVIL}],
    "novel": {"deep": [{"a": [1, {"b": None}]}, "text"]},
    "proves": ["The leaf was punctured."],
    "does_not_prove": ["That nobody copied plaintext.", "Anything about copies elsewhere."],
    "entry": "00112233445566ff-9",
}
REQUEST = {
    "v": 1,
    "kind": "request-certificate",
    "id": "0199-6",
    "request": "0199-7",
    "type": "erasure",
    "regime": "gdpr",
    "received_at": AT,
    "due_at": AT,
    "completed_at": AT,
    "issued_at": AT,
    "outcome": "partial",
    "steps": [{"step": "received", "at": AT}],
    "done": {"shred": {"certificate": "0199-1", "sha256": "ab" * 32}, "notify": {"sent": 3, "dead": 1}},
    "exceptions": [{"ground": "17(3)(b)", "what": "invoices of 2024"}],
    "erasure": {"certificate": "0199-1", "sha256": "ab" * 32},
    "notices": {"sent": 3, "dead": 1},
    "package": {"sha256": "cd" * 32},
    "proves": ["The request was answered."],
    "does_not_prove": ["That a recipient did what it was told."],
    "entry": "00112233445566ff-10",
}
REQUEST_TYPE = "application/vnd.tenure.request-certificate+json"


def envelope(statement: dict[str, object]) -> str:
    if statement["kind"] == KIND:
        return issue_certificate(statement, SIGNER)
    return sign_envelope(canonical(statement), REQUEST_TYPE, [SIGNER])


class Seen(HTMLParser):
    """The page's text, elements and attributes, as a browser would have them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.elements and self.elements[-1][0] == "h2" and data.strip():
            self.headings.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in leaves(part)]
    return [shown(value)]


@pytest.mark.parametrize("statement", [ERASURE, REQUEST], ids=["erasure", "request"])
def test_everything_that_was_signed_is_on_the_page_and_in_the_pdf(statement: dict[str, object]) -> None:
    paper = certificate_paper(envelope(statement))
    seen, printed = Seen(html_page(paper)), re.sub(r"\s", "", printed_on(pdf_file(paper)))
    for leaf in leaves(statement):
        assert leaf in seen.text
        assert re.sub(r"\s", "", spelled(leaf)) in printed


def test_what_it_does_not_prove_is_a_heading_like_the_others() -> None:
    paper = certificate_paper(envelope(ERASURE))
    assert [one.title for one in paper.sections] == [
        "What was asked",
        "What came of it",
        "What was done, step by step",
        "Keys that were destroyed",
        "Where it was stored",
        "What was left (residue)",
        "Holds and exceptions: what was kept, and on what ground",
        "What else it says",
        "What this proves",
        "What this does not prove",
        "This certificate",
        "How to verify it, without asking us",
    ]
    seen = Seen(html_page(paper))
    assert seen.headings[8:10] == ["What this proves", "What this does not prove"]
    assert not [
        attributes for _, attributes in seen.elements if "style" in attributes or "class" in attributes
    ]


def test_a_certificate_without_exceptions_says_so() -> None:
    without = {name: part for name, part in ERASURE.items() if name != "holds"}
    assert "The certificate names none." in Seen(html_page(certificate_paper(envelope(without)))).text


def test_the_page_runs_nothing_fetches_nothing_and_can_be_read_aloud() -> None:
    page = html_page(certificate_paper(envelope(ERASURE)))
    seen = Seen(page)
    tags = {tag for tag, _ in seen.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "form", "base"}
    attributes = {name for _, found in seen.elements for name in found}
    assert not {name for name in attributes if name.startswith("on") or name in ("src", "href", "action")}
    assert "url(" not in page
    assert "@import" not in page
    assert ("html", {"lang": "en"}) in seen.elements
    assert [tag for tag, _ in seen.elements].count("h1") == 1
    assert all("scope" in found for tag, found in seen.elements if tag == "th")
    policy = next(found["content"] for tag, found in seen.elements if "http-equiv" in found)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert EVIL in seen.text, "as text"


def test_the_page_alone_verifies_and_a_changed_envelope_does_not() -> None:
    page = html_page(certificate_paper(envelope(ERASURE)))
    found = verify_text(page, [SIGNER.verifier])
    assert (found.kind, found.report.ok) == ("certificate", True), found.report.failures
    assert any("only the envelope in it was checked" in one for one in found.report.not_checked)
    assert not verify_text(page.replace("eyJ", "ezJ"), [SIGNER.verifier]).report.ok
    twice = page.replace("</main>", '<pre id="tenure-envelope">{}</pre></main>')
    for wrong in (twice, page.replace("tenure-envelope", "another"), "<!DOCTYPE html>"):
        report = verify_text(wrong, [SIGNER.verifier]).report
        assert [one.check for one in report.failures] == ["page-format"]


def test_the_pdf_carries_the_envelope_as_a_file() -> None:
    signed = envelope(REQUEST)
    content = pdf_file(certificate_paper(signed))
    assert signed.encode() in content, "as it is, for whoever has no reader"
    assert b"certificate.json" in content
    assert b"/Lang (en)" in content


def test_a_pdf_and_a_document_verify_alone_or_say_how(tmp_path: Path) -> None:
    signed = envelope(ERASURE)
    whole = pdf_file(certificate_paper(signed))
    document = json.dumps({"certificate": ERASURE, "verified": False, "envelope": json.loads(signed)})
    path = tmp_path / "certificate"
    for content in (whole, document.encode()):
        path.write_bytes(content)
        found = verify_file(path, [SIGNER.vkey])
        assert (found.kind, found.report.ok) == ("certificate", True), found.report.failures
        assert any("only the envelope in it was checked" in one for one in found.report.not_checked)
        assert json.loads(envelope_of(text_of(content))) == json.loads(signed)
        path.write_bytes(content.replace(b"eyJ", b"ezJ"))
        assert not verify_file(path, [SIGNER.vkey]).report.ok
    twice = whole.replace(b"%%EOF", whole[whole.index(b"/Type /EmbeddedFile") :])
    for wrong in (twice, whole.replace(b"/EmbeddedFile\n", b"/EmbeddedFile /Filter /FlateDecode\n")):
        path.write_bytes(wrong)
        [failure] = verify_file(path, [SIGNER.vkey]).report.failures
        assert failure.check == "page-format"
        assert "pdfdetach -saveall" in failure.detail


def test_the_same_certificate_makes_the_same_bytes() -> None:
    first, second = (certificate_paper(envelope(ERASURE)) for _ in range(2))
    assert html_page(first) == html_page(second)
    assert pdf_file(first) == pdf_file(second)


def test_letters_that_a_font_lacks_are_named() -> None:
    assert "[U+4E2D][U+6587]" in printed_on(pdf_file(certificate_paper(envelope(ERASURE))))


def test_the_digest_is_of_what_was_signed_however_the_file_is_spelled() -> None:
    signed = envelope(ERASURE)
    spaced = signed.replace('","', '" ,\n "') + "\n"
    assert read_envelope(spaced).text == signed
    assert read_envelope(spaced).sha256 == read_envelope(signed).sha256


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "{", '{"payload":"MQ==","payloadType":"a","signatures":[]}']
)
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(Unverified) as refused:
        certificate_paper(text)
    assert refused.value.check == "envelope-format"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(("steps", "keys", "proves", "holds", "erasure", "id", "issued_at", "novel"))


statements = st.dictionaries(members, json_values, max_size=5)


@settings(max_examples=25)
@given(statements)
def test_any_payload_is_a_page_with_all_of_it(statement: dict[str, object]) -> None:
    signed = sign_envelope(canonical(statement), REQUEST_TYPE, [SIGNER])
    paper = certificate_paper(signed)
    page = html_page(paper)
    assert envelope_of(page) == signed
    text = re.sub(r"\s", "", Seen(page).text)
    for leaf in leaves(statement):
        assert re.sub(r"\s", "", leaf) in text


@settings(max_examples=4, phases=(Phase.generate,))  # a tenth of a second each
@given(statements)
def test_any_payload_is_a_pdf(statement: dict[str, object]) -> None:
    signed = sign_envelope(canonical(statement), REQUEST_TYPE, [SIGNER])
    assert signed.encode() in pdf_file(certificate_paper(signed))


def test_what_would_turn_the_text_around_is_shown() -> None:
    signed = envelope(REQUEST | {"outcome": "\N{RIGHT-TO-LEFT OVERRIDE}litrap", "note": "a\x07b"})
    text = Seen(html_page(certificate_paper(signed))).text
    assert "[U+202E]litrap" in text
    assert "a[U+0007]b" in text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text


# ── reading a PDF ──────────────────────────────────────────────────────────────────────────────────
def printed_on(content: bytes) -> str:
    """The strings that are set on its pages, in order."""
    found = []
    for stream in re.findall(rb"stream\n(.*?)\nendstream", content, re.DOTALL):
        try:
            plain = zlib.decompress(stream)
        except zlib.error:
            continue
        found += re.findall(rb"\(((?:\\.|[^\\()])*)\) Tj", plain)
    return "".join(re.sub(r"\\(.)", r"\1", one.decode("latin-1")) for one in found)


def spelled(text: str) -> str:
    dashes = text.replace("\N{EN DASH}", "-")
    return "".join(one if ord(one) < 0x100 else f"[U+{ord(one):04X}]" for one in dashes)
