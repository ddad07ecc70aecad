"""The secret that opens a package to whoever has it: `tnp_` ‖ base64url(tenant ‖ package ‖ secret ‖ sum).

Tenant and package inside let it be looked up by an index that begins with the tenant; the secret has 256
random bits. What is stored is a blind index of the secret and the package: only who has the tenant's keys can
compute one, so whoever merely writes rows makes no link of their own. The prefix and the CRC-32 let scanners
for secrets find one without false alarms.
"""

import base64
import binascii
import secrets
import zlib
from typing import Final, NamedTuple
from uuid import UUID

from tenure.keyring import TenantKeyring

_PREFIX: Final = "tnp_"
_BODY: Final = 16 + 16 + 32
_SUM: Final = 4
_STANDARD = str.maketrans("-_", "+/")


class Link(NamedTuple):
    """A token that was read."""

    tenant_id: str
    package_id: str
    secret: str

    def kept(self, keys: TenantKeyring) -> str:
        """What is stored of it: 64 hex digits."""
        return keys.blind_index("link", self.package_id, self.secret)


def new_link(tenant_id: str, package_id: str) -> tuple[str, Link]:
    """A fresh token, shown once; and what it is."""
    secret = secrets.token_bytes(32)
    body = UUID(tenant_id).bytes + UUID(package_id).bytes + secret
    token = _PREFIX + base64.urlsafe_b64encode(body + zlib.crc32(body).to_bytes(_SUM)).decode()
    return token.rstrip("="), Link(tenant_id, package_id, secret.hex())


def parse_link(token: str) -> Link | None:
    """Read a token; None when it is none."""
    text = token[len(_PREFIX) :].translate(_STANDARD)
    try:
        raw = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    body, total = raw[:_BODY], raw[_BODY:]
    if not token.startswith(_PREFIX) or total != zlib.crc32(body).to_bytes(_SUM) or len(body) != _BODY:
        return None
    return Link(str(UUID(bytes=body[:16])), str(UUID(bytes=body[16:32])), body[32:].hex())
