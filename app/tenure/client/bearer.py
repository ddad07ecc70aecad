"""The header that carries a caller's credential."""

import re
from typing import Final

from tenure.errors import Unauthenticated

_KEY: Final = re.compile(r"[\x21-\x7e]+")


def key_of(api_key: str | None, field: str = "api_key") -> str:
    """A key or access token as it is sent: without white space around it, such as a file's last newline.

    Raises Unauthenticated when that is none, before anything is sent: no header could carry it, and that
    would look like a service that does not answer.
    """
    key = (api_key or "").strip()
    if not _KEY.fullmatch(key):
        raise Unauthenticated(
            "The API key is empty, or has characters in it that no key has; nothing was sent.",
            field=field,
            rule="an API key or access token, in one piece",
            remedy="Give it exactly as it was shown when it was made: look where it is read from.",
        )
    return key


def bearer(api_key: str | None, field: str = "api_key") -> dict[str, str]:
    """The header (RFC 6750 §2.1). Raises as `key_of`."""
    return {"Authorization": f"Bearer {key_of(api_key, field)}"}
