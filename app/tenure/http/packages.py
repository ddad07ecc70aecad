"""Access packages for the people they are for, who have no credential here: the link is one.

A link is `/v1/packages#TOKEN`. What follows the `#` is never sent by a browser, so it is in no log on the
way; the page takes it from there, and sends it in a body. The page needs nothing from elsewhere.
"""

from base64 import b64encode
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs

from litestar import get, post
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, headers_of, tenure_of
from tenure.http.reply import Reply, Streamed
from tenure.http.shapes.base import answers

_HTML: Final = b"text/html; charset=utf-8"
_ZIP: Final = b"application/zip"
_FORM: Final = b"application/x-www-form-urlencoded"
_SCRIPT: Final = (
    "const found = location.hash.slice(1);"
    "if (found) { document.getElementById('token').value = found;"
    " history.replaceState(null, '', location.pathname); }"
)
"""Puts the token where it is sent from, and takes it out of the address bar and the history."""
_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Your data</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }}
input, button {{ font: inherit; padding: .5rem; width: 100%; box-sizing: border-box; margin: .5rem 0; }}
</style>
</head>
<body>
<main>
<h1>Your data</h1>
<p>You asked what is held about you. With your link you can fetch it here, once: if the download breaks off,
you can begin again within a quarter of an hour. It is a ZIP file; open <code>index.html</code> in it.</p>
<form method="post" action="/v1/packages:fetch" autocomplete="off">
<label for="token">Your link's code: what stands behind the # in it</label>
<input id="token" name="token" required maxlength="{wire.MAX_LINK}" spellcheck="false">
<button>Fetch my data</button>
</form>
<p>The file is personal. Fetch it on a device of your own.</p>
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    f"frame-ancestors 'none'; script-src 'sha256-{b64encode(sha256(_SCRIPT.encode()).digest()).decode()}'"
)
_CAREFUL: Final = ((b"referrer-policy", b"no-referrer"), (b"x-content-type-options", b"nosniff"))


@get(
    "/v1/packages",
    operation_id="getPackagePage",
    responses=answers(200, str, "A page with a form", media="text/html"),
)
async def get_package_page() -> ASGIApp:
    """The page that a link leads to. It holds nothing of anybody, and the link's secret does not reach it."""
    return Reply(200, _PAGE.encode(), _HTML, (b"content-security-policy", _POLICY.encode()), *_CAREFUL)


@post(
    "/v1/packages:fetch",
    operation_id="fetchPackage",
    status_code=200,
    responses=answers(200, bytes, "The package, a ZIP", media="application/zip"),
)
async def fetch_package(request: Call) -> ASGIApp:
    """Fetch an access package with the token of its link, for once: again within a quarter of an hour.

    404 for what is no link, 410 for one that was used or whose time is over.
    """
    download = await tenure_of(request).packages.fetch(await _token(request))
    disposition = (b"content-disposition", b'attachment; filename="your-data.zip"')
    return Streamed(download.size, download.pieces, _ZIP, disposition, *_CAREFUL)


async def _token(request: Call) -> str:
    """From a JSON body, or from the page's form. Raises Malformed, Invalid."""
    media = headers_of(request.scope).get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media != _FORM:
        return (await wire.received(request, wire.PackageLink)).token
    fields = parse_qs((await request.body()).decode("latin-1"), max_num_fields=8)
    token = fields.get("token", [""])[0].strip()
    if not 0 < len(token) <= wire.MAX_LINK:
        raise wire.wrong_member("token", f"1 to {wire.MAX_LINK} characters")
    return token


HANDLERS: list[Any] = [get_package_page, fetch_package]
