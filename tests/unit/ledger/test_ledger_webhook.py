"""Standard Webhooks' asymmetric signature: the published example, and what it can be taken for."""

import base64

import pytest

from tenure.errors import Malformed, Unverified
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.dsse import open_envelope, pae, sign_envelope
from tenure.ledger.note import Signer, Verifier, open_note
from tenure.ledger.webhook import headers, public_key, signed

SIGNER = Signer("log.example/1/1", bytes(range(32)))
ID = "0192f0c1-2b3c-7def-8123-456789abcdef"


def test_the_published_example() -> None:
    """From the reference implementation (libraries/go, `TestAsymmetricWebhookSign`)."""
    signer = Signer("anybody", base64.b64decode("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="))
    message = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert base64.b64encode(signer.sign_bytes(message)) == (
        b"tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
    )


def test_headers_of_an_attempt() -> None:
    made = headers(ID, 1614265330, b'{"a":1}', SIGNER)
    assert (made["webhook-id"], made["webhook-timestamp"]) == (ID, "1614265330")
    scheme, _, text = made["webhook-signature"].partition(",")
    assert scheme == "v1a"
    message = f'{ID}.1614265330.{{"a":1}}'.encode()
    assert SIGNER.verifier.verify_bytes(message, base64.b64decode(text))
    assert headers(ID, 1614265331, b'{"a":1}', SIGNER)["webhook-signature"] != made["webhook-signature"]


def test_the_public_key_is_that_of_the_vkey() -> None:
    key = public_key(Verifier.parse(SIGNER.vkey))
    assert key.startswith("whpk_")
    assert base64.b64decode(key.removeprefix("whpk_")) == SIGNER.verifier.public


@pytest.mark.parametrize(
    ("message_id", "body"),
    [("msg_1", b"{}"), (ID.upper(), b"{}"), (ID, b"[]"), (ID, b""), (ID, b'{"a":\n1}'), (ID, b"{}\n")],
)
def test_what_might_be_something_else_is_not_signed(message_id: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        headers(message_id, 1, body, SIGNER)


def _signature(body: bytes = b"{}") -> bytes:
    return base64.b64decode(headers(ID, 1, body, SIGNER)["webhook-signature"].partition(",")[2])


def test_it_is_no_note_and_no_envelope() -> None:
    text = signed(ID, 1, b"{}")
    blob = base64.b64encode(SIGNER.verifier.key_id + _signature()).decode()
    for body in (text.decode(), text.decode() + "\n"):
        with pytest.raises(Unverified):
            open_note(f"{body}\n\N{EM DASH} {SIGNER.name} {blob}\n", [SIGNER.verifier])
    assert not text.startswith(pae("", b"")[:7])
    envelope = sign_envelope(b"{}", "text/plain", [SIGNER]).replace(
        base64.b64encode(SIGNER.sign_bytes(pae("text/plain", b"{}"))).decode(),
        base64.b64encode(_signature()).decode(),
    )
    with pytest.raises(Unverified, match="signature"):
        open_envelope(envelope, "text/plain", [SIGNER.verifier])


@pytest.mark.parametrize("origin", [SIGNER.name, "a.1614265330.b/1/1", "1.2.3.4/x/1"])
def test_no_checkpoint_and_no_envelope_is_a_notice(origin: str) -> None:
    """Whoever forges chooses where id, time and body end; what is left must be a JSON object."""
    checkpoint = sign_checkpoint(Checkpoint(origin, 7, bytes(32)), [Signer(origin, bytes(32))])
    for text in (
        checkpoint.partition("\n\n")[0].encode() + b"\n",
        pae("application/vnd.tenure.erasure-certificate+json", b'{"a":"1.2.{}"}'),
    ):
        first, _, rest = text.partition(b".")
        at, _, body = rest.partition(b".")
        assert not (first and at.isdigit() and body.lstrip().startswith(b"{"))
