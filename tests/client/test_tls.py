"""The authorities that TLS believes are read once, and again when others are named."""

from pathlib import Path

import certifi
import pytest

from tenure.tls import authorities


def test_read_once_and_again_when_others_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    first = authorities()
    assert authorities() is first
    assert first.get_ca_certs()
    own = tmp_path / "own.pem"
    text = Path(certifi.where()).read_text()
    own.write_text(text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert len(authorities().get_ca_certs()) == 1
    own.write_text("nothing of the sort")
    with pytest.raises(OSError, match=r"PEM|certificate|crl|SSL"):
        authorities()
    monkeypatch.delenv("SSL_CERT_FILE")
    assert authorities() is first
