"""Erasure certificates: signed envelopes that say what they do not prove."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Invalid, Unverified
from tenure.ledger.canonical import canonical
from tenure.ledger.certificate import PAYLOAD_TYPE, issue_certificate, peek_origin, verify_certificate
from tenure.ledger.dsse import open_envelope, pae, sign_envelope
from tenure.ledger.note import Signer
from unit.ledger.logs import ORIGIN, SIGNER, an_id

KEYS = [SIGNER.verifier]
CERTIFICATE = {
    "v": 1,
    "kind": "erasure-certificate",
    "id": an_id(1),
    "tenant": an_id(2),
    "origin": ORIGIN,
    "shred": an_id(3),
    "issued_at": "2026-09-21T14:13:20.000002Z",
    "steps": [{"step": "destroy", "at": "2026-09-21T14:13:19.000000Z"}],
    "keys": {"root_version": 1, "provider": "files"},
    "proves": ["The operator stated the destruction."],
    "does_not_prove": ["That nobody copied the content before."],
    "entry": "00112233445566ff-9",
}


def checks(text, keys=KEYS):
    return [failure.check for failure in verify_certificate(text, keys).failures]


def test_a_certificate_verifies_and_repeats_what_it_does_not_prove():
    text = issue_certificate(CERTIFICATE, SIGNER)
    report = verify_certificate(text, KEYS)
    assert report.ok
    assert report.certificate == CERTIFICATE
    assert report.signers == (ORIGIN,)
    assert any("nobody copied" in sentence for sentence in report.not_checked)
    assert peek_origin(text) == ORIGIN


def test_members_of_later_versions_are_tolerated():
    assert verify_certificate(issue_certificate({**CERTIFICATE, "residue": []}, SIGNER), KEYS).ok


@pytest.mark.parametrize("name", sorted(CERTIFICATE))
def test_every_member_is_needed(name):
    for wrong in (None, "", [], {}):
        changed = {**CERTIFICATE, name: wrong}
        with pytest.raises(Invalid):
            issue_certificate(changed, SIGNER)
        signed = sign_envelope(canonical(changed), PAYLOAD_TYPE, [SIGNER])
        assert checks(signed) == ["certificate-schema"]
        assert verify_certificate(signed, KEYS).certificate == {}


def test_every_flip_is_found_but_in_the_name_of_the_hint():
    """Without `keyid` every trusted key is tried: the envelope says the same as before."""
    text = issue_certificate(CERTIFICATE, SIGNER)
    hint = text.index("keyid")
    for at in [*range(hint), *range(hint + len("keyid"), len(text))]:
        changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        assert checks(changed), at


def test_each_failure_has_its_name():
    text = issue_certificate(CERTIFICATE, SIGNER)
    envelope = json.loads(text)
    other = Signer("tenure.test/log/other", bytes(32))
    assert checks("{}") == checks("[]") == checks("x") == checks("[" * 100_000) == ["envelope-format"]
    assert checks(json.dumps({**envelope, "payloadType": "text/plain"})) == ["payload-type"]
    assert checks(text, [other.verifier]) == ["unknown-key"]
    assert checks(json.dumps({**envelope, "signatures": []})) == ["unknown-key"]
    forged = canonical({**CERTIFICATE, "shred": an_id(4)})
    swapped = {**envelope, "payload": base64.b64encode(forged).decode()}
    assert checks(json.dumps(swapped)) == ["bad-signature"]
    anonymous = {**swapped, "signatures": [{"sig": envelope["signatures"][0]["sig"]}]}
    assert checks(json.dumps(anonymous)) == ["unknown-key"]
    spaced = sign_envelope(json.dumps(CERTIFICATE).encode(), PAYLOAD_TYPE, [SIGNER])
    assert checks(spaced) == ["certificate-not-canonical"]
    assert checks(sign_envelope(b"[]", PAYLOAD_TYPE, [SIGNER])) == ["certificate-schema"]
    by_other = sign_envelope(canonical(CERTIFICATE), PAYLOAD_TYPE, [other])
    assert checks(by_other, [other.verifier]) == ["origin-mismatch"]
    with pytest.raises(Invalid):
        issue_certificate(CERTIFICATE, other)


# ── the envelope ───────────────────────────────────────────────────────────────────────────────────
def test_pre_authentication_encoding_of_the_specification():
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_envelope_round_trip(payload, kind):
    opened = open_envelope(sign_envelope(payload, kind, [SIGNER]), kind, KEYS)
    assert (opened.payload, opened.signers) == (payload, (ORIGIN,))


def test_both_base64_alphabets_and_a_missing_keyid_are_read():
    envelope = json.loads(sign_envelope(b"\xfb\xff" * 20, "t", [SIGNER]))
    envelope["payload"] = envelope["payload"].translate(str.maketrans("+/", "-_"))
    envelope["signatures"] = [{"sig": envelope["signatures"][0]["sig"]}]
    assert open_envelope(json.dumps(envelope), "t", KEYS).payload == b"\xfb\xff" * 20


def test_a_failing_known_key_rejects_and_an_unknown_one_does_not_matter():
    other = Signer("tenure.test/log/other", bytes(32))
    envelope = json.loads(sign_envelope(b"x", "t", [SIGNER, other]))
    envelope["signatures"][1]["sig"] = envelope["signatures"][0]["sig"]
    text = json.dumps(envelope)
    assert open_envelope(text, "t", KEYS).signers == (ORIGIN,)
    with pytest.raises(Unverified, match="does not hold"):
        open_envelope(text, "t", [*KEYS, other.verifier])
